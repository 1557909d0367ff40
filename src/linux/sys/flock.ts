/** Exclusive locks on open files, by flock(2). */
import { EAGAIN, LOCK_EX } from "./abi.ts";
import { check, tryCall } from "./door.ts";

const LOCK_NB = 4;

/** Takes the exclusive lock of the open file, waiting for whoever has it. Closing the fd releases it. (flock(2)) */
export function lockExclusive(fd: number): void {
  check(tryCall("flock", fd, LOCK_EX), "flock(2)");
}

/** Takes the lock as `lockExclusive` does, but does not wait: returns false if another open file has it. */
export function tryLockExclusive(fd: number): boolean {
  const rc = tryCall("flock", fd, LOCK_EX | LOCK_NB);
  if (rc !== EAGAIN) check(rc, "flock(2)");
  return rc === 0;
}

const PAUSE_MS = 5;

/**
 * Takes the lock as `lockExclusive` does, but waits for `patienceMs` at most. When a process is killed while it starts another
 * one, its lock is held for a moment after its end: the child has all its fds until its execve(2) closes them.
 */
export async function lockExclusiveWithin(fd: number, patienceMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + patienceMs;
  while (!tryLockExclusive(fd)) {
    if (performance.now() > deadlineMs) return false;
    await Bun.sleep(PAUSE_MS);
  }
  return true;
}
