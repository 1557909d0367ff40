/** FIFOs: making one, and waiting until nobody reads it. */
import { AT_FDCWD } from "./abi.ts";
import { check, tryCall } from "./door.ts";
import { poll } from "./poll.ts";

const S_IFIFO = 0o010000;

/** Makes a FIFO with mode 0600, less what the umask takes away. Source: mkfifo(3). */
export function makeFifo(path: string): void {
  check(tryCall("mknodat", AT_FDCWD, path, S_IFIFO | 0o600, 0), `mkfifo(3) of "${path}"`);
}

/**
 * Waits until nobody has the FIFO open for reading; `fd` is open for writing. Blocks the process. Returns false if somebody still
 * has it open after `timeoutMs`. Source: poll(2), POLLERR.
 */
export function waitForReadersGone(fd: number, timeoutMs: number): boolean {
  return check(poll(fd, 0, timeoutMs), "poll(2)") > 0;
}
