/** write(2) for commands that print a few lines: importing node:fs would add 0.7 ms to their start. */
import { cString, lastErrno, libc } from "./libc.ts";

/** Source: fcntl(2), open(2). */
const F_GETPIPE_SZ = 1032n;
const O_WRONLY_NONBLOCK = 0o4001;

/**
 * Opens a pipe a second time, non-blocking, with a file description of its own (proc_pid_fd(5)). Returns `fd` itself if it is not
 * a pipe, or is another user's.
 */
export function openTwin(fd: number): number {
  if (libc.fcntl(fd, F_GETPIPE_SZ, 0n) < 0) return fd;
  const twin = libc.open(cString(`/proc/self/fd/${fd}`), O_WRONLY_NONBLOCK);
  return twin < 0 ? fd : twin;
}

/** Writes once. Returns how many bytes the kernel took, or the errno's name. */
export function tryWrite(fd: number, bytes: Uint8Array): number | string {
  const count = libc.write(fd, bytes, bytes.length);
  return count < 0 ? lastErrno() : Number(count);
}
