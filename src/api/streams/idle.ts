/**
 * Tells when the daemon has been idle for a while.
 *
 * Calls `rest` with the pause's index after each of the ascending pauses, counted from the last call of the returned function.
 * Until then it wakes the process at most once a pause.
 */
export function whenIdle(pausesMs: readonly number[], rest: (index: number) => void): () => void {
  let lastMs = 0;
  let next = pausesMs.length;
  let timer: NodeJS.Timeout | undefined;
  const arm = () => {
    const pauseMs = pausesMs[next];
    if (pauseMs !== undefined) timer = setTimeout(check, lastMs + pauseMs - performance.now()).unref();
  };
  const check = () => {
    if (lastMs + pausesMs[next]! <= performance.now()) rest(next++);
    arm();
  };
  return () => {
    lastMs = performance.now();
    if (next === 0) return; // the timer that is set checks the time by itself
    next = 0;
    clearTimeout(timer);
    arm();
  };
}
