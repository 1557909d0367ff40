/**
 * A worker says that it gets on. It has one thread for its files, so one that is silent for long waits for a file system that
 * does not answer; while it waits for a registry, a timer speaks, and while it waits for a client, who waits.
 */
import { FILE_WORKER_BEAT_MS } from "../../base/limits.ts";

let tell: (() => void) | undefined;
let lastMs = 0;

/** For every small piece of work: what never waits would keep the timer from its turn. */
export function beat(): void {
  if (tell === undefined) return; // not a process of its own
  const nowMs = performance.now();
  if (nowMs - lastMs < FILE_WORKER_BEAT_MS) return;
  lastMs = nowMs;
  tell();
}

/** Calls `send` at most once in FILE_WORKER_BEAT_MS for as long as `work` gets on. */
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
