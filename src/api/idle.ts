/**
 * Calls `rest` when the function that it returns has been called, and then not for `pauseMs`. Wakes nobody up meanwhile
 * but once a pause.
 */
export function whenIdle(pauseMs: number, rest: () => void): () => void {
  let lastMs = 0;
  let isArmed = false;
  const check = () => {
    const leftMs = lastMs + pauseMs - performance.now();
    if (leftMs > 0) {
      setTimeout(check, leftMs).unref();
      return;
    }
    isArmed = false;
    rest();
  };
  return () => {
    lastMs = performance.now();
    if (isArmed) return;
    isArmed = true;
    setTimeout(check, pauseMs).unref();
  };
}
