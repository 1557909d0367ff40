/**
 * The files of one log: `path` is being written, `path.1` was before it, and so on. A rotated one may be compressed:
 * `path.1.gz`; for a moment, or after a crash, it is there in both forms, and then the same is in both.
 *
 * The supervisor gives them new names while nobody has the lock of `path`. So whoever has it finds each where it was.
 */
import { closeSync, fstatSync, openSync, readdirSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { LOG_LOCK_PAUSE_MS, LOG_LOCK_TIMEOUT_MS } from "../../base/limits.ts";
import { tryLockExclusive } from "../../linux/sys/flock.ts";

/** A rotated file, in one form or both. */
interface RotatedLog {
  number: number;
  plain: boolean;
  compressed: boolean;
}

export function plainPath(path: string, number: number): string {
  return `${path}.${number}`;
}

export function compressedPath(path: string, number: number): string {
  return `${path}.${number}.gz`;
}

/** Lists the rotated files, newest first. */
export function listRotated(path: string): RotatedLog[] {
  const found = new Map<number, RotatedLog>();
  const start = `${basename(path)}.`;
  for (const name of namesIn(dirname(path))) {
    if (!name.startsWith(start)) continue;
    const [, digits, ending] = /^([1-9]\d{0,3})(\.gz)?$/.exec(name.slice(start.length)) ?? [];
    if (digits === undefined) continue;
    const number = Number(digits);
    const known = found.get(number) ?? { number, plain: false, compressed: false };
    known[ending === undefined ? "plain" : "compressed"] = true;
    found.set(number, known);
  }
  return [...found.values()].sort((a, b) => a.number - b.number);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return []; // never started, or removed
    throw error;
  }
}

/** Runs `act` while the names stay as they are. If there is no `path`, nobody writes. @throws LighterError "unavailable" */
export async function withSteadyNames<T>(path: string, act: () => T): Promise<T> {
  const deadlineMs = performance.now() + LOG_LOCK_TIMEOUT_MS;
  for (;;) {
    const fd = openIfThere(path);
    if (fd === undefined) return act();
    try {
      if (tryLockExclusive(fd) && isAt(path, fd)) return act();
    } finally {
      closeSync(fd); // and with it the lock
    }
    if (performance.now() > deadlineMs)
      throw new LighterError("unavailable", `"${path}" is being rotated, and that does not come to an end`);
    await pause(LOG_LOCK_PAUSE_MS);
  }
}

/** Opens a file for reading; undefined if there is none. */
export function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Tells whether the open file still has this name; it has not if it was rotated between the opening and the lock. */
function isAt(path: string, fd: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino;
}
