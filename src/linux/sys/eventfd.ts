import { read, writeSync } from "node:fs";
import { check, libc } from "./libc.ts";

const SYS_EVENTFD2 = process.arch === "arm64" ? 19n : 290n;
const EFD_CLOEXEC = 0x80000n;
const COUNTER_BYTES = 8;

/** A blocking eventfd(2), its counter 0. The caller closes it. */
export function createEventFd(): number {
  return check(libc.syscall(SYS_EVENTFD2, 0n, EFD_CLOEXEC, 0n, 0n, 0n), "eventfd2(2)");
}

/**
 * Calls `then` once the counter is not 0, and sets it to 0. Until then a thread of the pool waits for it, which is woken by
 * `signalEventFd`, not by closing the fd.
 */
export function readEventFd(fd: number, then: () => void): void {
  read(fd, Buffer.alloc(COUNTER_BYTES), 0, COUNTER_BYTES, null, () => then());
}

export function signalEventFd(fd: number): void {
  writeSync(fd, new Uint8Array(new BigUint64Array([1n]).buffer));
}
