/**
 * A lock that a process holds as long as it lives, with a note of its owner. An owner that was killed and cannot end (doomed.ts)
 * would hold it for good: so its lock file is replaced by another.
 */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { lockExclusiveWithin, tryLockExclusive } from "../sys/flock.ts";
import { isDoomed } from "./doomed.ts";
import { readProcessStat } from "./process-stat.ts";

interface LockOwner {
  pid: number;
  /** The start time, as in ProcessStat. */
  startTime: number;
  startedAt: string;
  /** Any text of the owner's. */
  note: string;
}

interface LockPatience {
  /** How long to wait for an owner that is about to end. */
  endMs: number;
  /** How long to wait for an owner that was killed and does not end. */
  doomedMs: number;
}

const PAUSE_MS = 50;

/**
 * Takes the lock for the rest of this process's life. Resolves with the former owner that cannot end, with null if there was
 * none, or with undefined if somebody has the lock.
 */
export async function takeOwnedLock(
  path: string,
  note: string,
  patience: LockPatience,
): Promise<LockOwner | null | undefined> {
  for (;;) {
    const fd = openSync(path, "a+", 0o600);
    if (await lockExclusiveWithin(fd, patience.endMs)) {
      if (!isAt(path, fd)) closeSync(fd);
      else {
        describe(fd, note);
        return null;
      }
    } else {
      const owner = readOwner(path);
      const stays = owner !== undefined && (await staysDoomed(owner, patience.doomedMs));
      if (!stays && !tryLockExclusive(fd)) return undefined;
      const hasReplaced = stays && (await replace(path, fd, note));
      closeSync(fd);
      if (hasReplaced) return owner;
    }
  }
}

/** Whether the open file is still the one at `path`. */
function isAt(path: string, fd: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino;
}

function describe(fd: number, note: string): void {
  const owner: LockOwner = {
    pid: process.pid,
    startTime: readProcessStat(process.pid)?.startTime ?? 0,
    startedAt: new Date().toISOString(),
    note,
  };
  ftruncateSync(fd);
  writeSync(fd, `${JSON.stringify(owner)}\n`);
}

function readOwner(path: string): LockOwner | undefined {
  try {
    const { pid, startTime, startedAt, note } = JSON.parse(readFileSync(path, "utf8"));
    return { pid: Number(pid), startTime: Number(startTime), startedAt: String(startedAt), note: String(note) };
  } catch {
    return undefined; // it is an older owner's, or is just being written
  }
}

async function staysDoomed({ pid, startTime }: LockOwner, forMs: number): Promise<boolean> {
  const endMs = performance.now() + forMs;
  while (isDoomed(pid, startTime)) {
    if (performance.now() > endMs) return true;
    await Bun.sleep(PAUSE_MS);
  }
  return false;
}

/** Replaces the lock file; the directory's lock lets one process do so at a time. Resolves with false if another was faster. */
async function replace(path: string, oldFd: number, note: string): Promise<boolean> {
  const directoryFd = openSync(dirname(path), "r");
  try {
    if (!(await lockExclusiveWithin(directoryFd, PAUSE_MS)) || !isAt(path, oldFd)) return false;
    const newPath = `${path}.new`;
    rmSync(newPath, { force: true });
    const fd = openSync(newPath, "wx", 0o600);
    tryLockExclusive(fd);
    describe(fd, note);
    renameSync(newPath, path);
    return true;
  } finally {
    closeSync(directoryFd);
  }
}
