let observer: ((name: string) => void) | undefined;

/**
 * Marks the moment between two effects that last, where `kill -9` must leave what the next process understands.
 * Does nothing but in the crash tests.
 */
export function writePoint(name: string): void {
  observer?.(name);
}

/** For the crash tests, which die at one of them. */
export function observeWritePoints(observe: (name: string) => void): void {
  observer = observe;
}
