import { errnoOf } from "../../base/errors.ts";
import { LOCK_EX } from "./abi.ts";
import { check, libc } from "./libc.ts";

const LOCK_NB = 4;

/** Takes the exclusive lock of the open file, waiting for whoever has it. The fd's end releases it. (flock(2)) */
export function lockExclusive(fd: number): void {
  for (;;) {
    try {
      check(libc.flock(fd, LOCK_EX), "flock(2)");
      return;
    } catch (error) {
      if (errnoOf(error) !== "EINTR") throw error;
    }
  }
}

/** The same without waiting; false if another open file has it. */
export function tryLockExclusive(fd: number): boolean {
  try {
    check(libc.flock(fd, LOCK_EX | LOCK_NB), "flock(2)");
    return true;
  } catch (error) {
    if (errnoOf(error) === "EAGAIN") return false;
    throw error;
  }
}

const PAUSE_MS = 5;

/**
 * The same, waiting `patienceMs` at most. A process that was killed while it started another one is seen to have ended,
 * and its lock is still held for a moment: the half-born child has all its fds until its execve(2) closes them.
 */
export async function lockExclusiveWithin(fd: number, patienceMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + patienceMs;
  while (!tryLockExclusive(fd)) {
    if (performance.now() > deadlineMs) return false;
    await Bun.sleep(PAUSE_MS);
  }
  return true;
}
