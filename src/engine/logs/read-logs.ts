/** Reads and follows a container's log. */
import { watch } from "node:fs";
import { dirname } from "node:path";
import type { LighterError } from "../../base/errors.ts";
import { parseRfc3339 } from "../../base/time.ts";
import { timerMs } from "../../base/timer.ts";
import type { LogEntry } from "./log-entry.ts";
import { LogCursor } from "./log-files.ts";

export interface LogQuery {
  /** The earliest time of entries; nanoseconds since 1970. */
  sinceNs?: bigint;
  /** The latest time of entries. */
  untilNs?: bigint;
  /** The number of last lines, of both streams together; Infinity: all. */
  tail: number;
  /**
   * Follows the log until this resolves: the process has ended and its log is complete. Without it, reading ends at the present
   * end.
   */
  followUntil?: Promise<unknown>;
  /** Ends the reading early, without an error. */
  signal: AbortSignal;
  /** Receives an error for each file whose rest cannot be read; the reading goes on with the next one. */
  onDamage: (error: LighterError) => void;
}

/** Reads the entries of a log and its rotated files, oldest first, in batches as they are read. */
export async function* readLogs(path: string, query: LogQuery): AsyncGenerator<LogEntry[]> {
  // The watch must begin before the first read: what is written in between is noticed twice, not never.
  using change = new Change(path, query);
  const { tail, followUntil, onDamage } = query;
  using cursor = await LogCursor.open(path, { tail, follows: followUntil !== undefined, onDamage });
  for (;;) {
    // Both must be read before the log: whatever was written until then is read afterwards.
    const { ended } = change;
    change.clear();
    if (followUntil !== undefined) await cursor.refresh();
    for await (const entries of cursor.read()) {
      if (query.signal.aborted) return;
      const { wanted, past } = selectEntries(entries, query);
      if (wanted.length > 0) yield wanted;
      if (past) return;
    }
    if (ended) return;
    await change.wait();
  }
}

/** Selects entries. `past`: an entry later than `untilNs` was met, and only later ones can follow. */
function selectEntries(entries: LogEntry[], query: LogQuery): { wanted: LogEntry[]; past: boolean } {
  const { sinceNs, untilNs } = query;
  if (sinceNs === undefined && untilNs === undefined) return { wanted: entries, past: false };
  const wanted: LogEntry[] = [];
  for (const entry of entries) {
    const ns = parseRfc3339(entry.time);
    if (ns === undefined || (sinceNs !== undefined && ns < sinceNs)) continue;
    if (untilNs !== undefined && ns > untilNs) return { wanted, past: true };
    wanted.push(entry);
  }
  return { wanted, past: false };
}

/** Tells when there may be more to read, by inotify(7) on the log's directory: a rotation replaces the file itself. */
class Change implements Disposable {
  /** True once nothing is written any more. */
  ended: boolean;
  #changed = false;
  #wake: () => void = () => {};
  readonly #stack = new DisposableStack();

  constructor(path: string, query: LogQuery) {
    const { followUntil, untilNs, signal } = query;
    this.ended = followUntil === undefined;
    if (followUntil === undefined) return;
    const end = () => {
      this.ended = true;
      this.#notify();
    };
    void followUntil.then(end, end);
    const watcher = watch(dirname(path), () => this.#notify());
    this.#stack.defer(() => watcher.close());
    signal.addEventListener("abort", end);
    this.#stack.defer(() => signal.removeEventListener("abort", end));
    if (untilNs !== undefined) {
      const timer = setTimeout(end, timerMs(Number(untilNs / 1_000_000n) - Date.now()));
      this.#stack.defer(() => clearTimeout(timer));
    }
  }

  #notify(): void {
    this.#changed = true;
    this.#wake();
  }

  clear(): void {
    this.#changed = false;
  }

  /** Resolves when something has changed since `clear`. */
  async wait(): Promise<void> {
    if (this.#changed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}
