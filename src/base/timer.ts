/** The longest time that setTimeout takes, 24 days; it would fire at once for a longer one. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** A time from now for setTimeout: 0 if it has passed, and at most what a timer can wait. */
export function timerMs(ms: number): number {
  return Math.min(Math.max(0, ms), TIMER_MAX_MS);
}

/**
 * Whether `promise` resolves in time, and before `signal` is aborted. `ms`: undefined for as long as it takes.
 * @throws what it rejects with until then
 */
export async function settlesWithin(
  promise: Promise<unknown>,
  ms: number | undefined,
  signal?: AbortSignal,
): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const giveUp = () => resolve(false);
  const timer = ms === undefined ? undefined : setTimeout(giveUp, timerMs(ms));
  signal?.addEventListener("abort", giveUp);
  if (signal?.aborted) giveUp();
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}
