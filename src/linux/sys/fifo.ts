/** FIFOs: making one, and waiting until nobody reads it. */
import { ptr } from "bun:ffi";
import { AT_FDCWD } from "./abi.ts";
import { address, check, cString, libc } from "./libc.ts";

const SYS_MKNODAT = process.arch === "arm64" ? 33 : 259;
const S_IFIFO = 0o010000;

/** Makes a FIFO with mode 0600, less what the umask takes away. Source: mkfifo(3). */
export function makeFifo(path: string): void {
  const name = cString(path);
  check(libc.syscall(SYS_MKNODAT, AT_FDCWD, address(name), S_IFIFO | 0o600, 0, 0), `mkfifo(3) of "${path}"`);
}

/**
 * Waits until nobody has the FIFO open for reading; `fd` is open for writing. Blocks the process. Returns false if somebody still
 * has it open after `timeoutMs`. Source: poll(2), POLLERR.
 */
export function waitForReadersGone(fd: number, timeoutMs: number): boolean {
  const pollfd = new Uint8Array(8);
  new DataView(pollfd.buffer).setInt32(0, fd, true);
  return check(libc.poll(ptr(pollfd), 1, timeoutMs), "poll(2)") > 0;
}
