/** Waits for conditions that come about without a notification. */

const PATIENCE_MS = 20_000;
const PAUSE_MS = 5;

/** Calls `check` until it throws no more, and returns its result. Throws its last error if that takes too long. */
export async function eventually<T>(check: () => T | Promise<T>, patienceMs = PATIENCE_MS): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

/** Waits until `isMet` is true. @throws Error that says `what` was waited for, if that takes too long; and what `isMet` throws */
export async function until(isMet: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isMet())) {
    if (performance.now() > deadline) throw new Error(`not after ${PATIENCE_MS / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
