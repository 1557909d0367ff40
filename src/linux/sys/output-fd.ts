/** write(2) for commands that print a few lines: importing node:fs would add 0.7 ms to their start. */
import { AT_FDCWD } from "./abi.ts";
import { tryCall } from "./door.ts";
import { errnoName } from "./errno.ts";

/** Source: fcntl(2), open(2). */
const F_GETPIPE_SZ = 1032;
const O_WRONLY_NONBLOCK = 0o4001;

/**
 * Opens a pipe a second time, non-blocking, with a file description of its own (proc_pid_fd(5)). Returns `fd` itself if it is not
 * a pipe, or is another user's.
 */
export function openTwin(fd: number): number {
  if (tryCall("fcntl", fd, F_GETPIPE_SZ) < 0) return fd;
  const twin = tryCall("openat", AT_FDCWD, `/proc/self/fd/${fd}`, O_WRONLY_NONBLOCK);
  return twin < 0 ? fd : twin;
}

/** Writes once. Returns how many bytes the kernel took, or the errno's name. */
export function tryWrite(fd: number, bytes: Uint8Array): number | string {
  const count = tryCall("write", fd, bytes, bytes.length);
  return count < 0 ? errnoName(-count) : count;
}
