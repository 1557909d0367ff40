/** Names the moments at which the crash tests kill a process. */

let observer: ((name: string) => void) | undefined;

/**
 * Marks the moment between two lasting effects, at which `kill -9` must leave what the next process understands. Does nothing
 * outside the crash tests.
 */
export function writePoint(name: string): void {
  observer?.(name);
}

/** Lets the crash tests observe the points and die at one of them. */
export function observeWritePoints(observe: (name: string) => void): void {
  observer = observe;
}
