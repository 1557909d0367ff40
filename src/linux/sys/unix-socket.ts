import { closeSync, unlinkSync } from "node:fs";
import { utf8 } from "../../base/bytes.ts";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { check, libc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 0o1 | 0o4000 | 0o2000000;
/** sizeof sun_path, with its NUL. Source: unix(7). */
const PATH_BYTES = 108;

/**
 * A listening unix stream socket, mode 0600 (the process's umask must not be looser), for a child to accept from:
 * clients can connect and write from now on. A stale socket file is replaced. The caller closes the fd.
 */
export function listenUnix(path: string): number {
  const bytes = utf8(path);
  if (bytes.length >= PATH_BYTES)
    throw new LighterError("invalid", `socket path "${path}" is longer than ${PATH_BYTES - 1} bytes`);
  const address = new Uint8Array(2 + bytes.length + 1);
  address[0] = AF_UNIX;
  address.set(bytes, 2);
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
  const fd = check(libc.socket(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0), "socket(2)");
  const umask = process.umask(0o177);
  try {
    check(libc.bind(fd, address, address.length), `bind(2) of "${path}"`);
    check(libc.listen(fd, 128), `listen(2) on "${path}"`);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  } finally {
    process.umask(umask);
  }
}
