/** The longest time that setTimeout takes, 24 days; it would fire at once for a longer one. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** A time from now for setTimeout: 0 if it has passed, and at most what a timer can wait. */
export function timerMs(ms: number): number {
  return Math.min(Math.max(0, ms), TIMER_MAX_MS);
}

/** Whether `promise` resolves in time. @throws what it rejects with until then */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timerMs(ms));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
