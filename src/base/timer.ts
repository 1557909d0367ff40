/** setTimeout takes no more, and does at once what is to be done later than that: 24 days. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** A time from now as setTimeout takes it: at once where it is past, and at most what a timer can wait. */
export function timerMs(ms: number): number {
  return Math.min(Math.max(0, ms), TIMER_MAX_MS);
}
