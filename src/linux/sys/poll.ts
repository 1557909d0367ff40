/** Waits for one file descriptor. */
import { tryCall } from "./door.ts";

/** Returns 1 when `fd` is ready for `events` or has failed, 0 if it is not in time, or a negative errno. Source: poll(2). */
export function poll(fd: number, events: number, timeoutMs: number): number {
  const timespec = new BigInt64Array([BigInt(Math.floor(timeoutMs / 1000)), BigInt((timeoutMs % 1000) * 1e6)]);
  // struct pollfd: i32 fd, i16 events, i16 revents
  return tryCall("ppoll", new Int32Array([fd, events]), 1, timespec, null, 0);
}
