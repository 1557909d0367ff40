/**
 * Calls `rest` after each of the pauses, which ascend, counted from the last call of the function that it returns; with the pause's
 * index. Wakes nobody up meanwhile but once a pause.
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
    if (next === 0) return; // what is armed looks at the time
    next = 0;
    clearTimeout(timer);
    arm();
  };
}
