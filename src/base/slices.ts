/** Long work of the daemon's only thread, cut into slices between which all others have a turn. */

/** Work that yields wherever it may pause, and returns its result. */
export type Steps<T> = Generator<void, T, void>;

/** Short enough that nobody who waits for a turn notices. */
const SLICE_MS = 20;

/** Does all of the work now. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** Does the work in slices of `sliceMs`. What it relies on must hold across turns of others. */
export async function inSlices<T>(steps: Steps<T>, sliceMs = SLICE_MS): Promise<T> {
  let beganMs = performance.now();
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    if (performance.now() - beganMs < sliceMs) continue;
    await turnOfOthers();
    beganMs = performance.now();
  }
}

/** Resolves when whoever waits for the thread by now has had it, sockets included. */
function turnOfOthers(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
