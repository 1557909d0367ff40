/**
 * Lets a worker report that it makes progress. It has one thread for its files, so a silent worker waits for a file system that
 * does not answer. While it waits for a registry, a timer reports; while it waits for a client, the code that waits does.
 */
import { FILE_WORKER_BEAT_MS } from "../../base/limits.ts";

let tell: (() => void) | undefined;
let lastMs = 0;

/** Reports progress. Must be called for every small piece of work: code that never waits would keep the timer from its turn. */
export function beat(): void {
  if (tell === undefined) return; // it is not a process of its own
  const nowMs = performance.now();
  if (nowMs - lastMs < FILE_WORKER_BEAT_MS) return;
  lastMs = nowMs;
  tell();
}

/** Calls `send` at most once in FILE_WORKER_BEAT_MS for as long as `work` makes progress. */
export async function withHeartbeat<T>(send: () => void, work: () => Promise<T>): Promise<T> {
  tell = send;
  const timer = setInterval(beat, FILE_WORKER_BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    tell = undefined;
  }
}
