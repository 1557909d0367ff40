/** Unix sockets whose fds are handed to other programs, and whose paths may be long. */
import { closeSync, constants, openSync, unlinkSync } from "node:fs";
import type { Socket } from "node:net";
import { basename, dirname } from "node:path";
import { utf8 } from "../../base/bytes.ts";
import { errnoOf } from "../../base/errors.ts";
import { ATTACHED_CLIENTS_MAX } from "../../base/limits.ts";
import { AF_UNIX, SOCK_STREAM_CLOEXEC, SUN_PATH_BYTES } from "./abi.ts";
import { check, tryCall } from "./door.ts";
import { sendWithFds } from "./passed-fds.ts";
import { unixAddress } from "./unix-address.ts";

const SOCK_STREAM_NONBLOCK_CLOEXEC = SOCK_STREAM_CLOEXEC | 0o4000;

/**
 * A name for a socket that fits into `sun_path`: the path itself, or a path through an fd of its directory, which is valid until
 * `close`. Source: unix(7), proc_pid_fd(5).
 */
export function shortSocketPath(path: string): { path: string; close: () => void } {
  if (utf8(path).length < SUN_PATH_BYTES) return { path, close: () => {} };
  const fd = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  return { path: `/proc/self/fd/${fd}/${basename(path)}`, close: () => closeSync(fd) };
}

/** Room for everybody who attaches before the start, and for who controls it: all are connected before the child accepts them. */
const BACKLOG = ATTACHED_CLIENTS_MAX + 24;

/** Connects a unix stream socket for another program to use. The caller closes it. */
export function connectUnixFd(longPath: string): number {
  const { path, close } = shortSocketPath(longPath);
  const fd = check(tryCall("socket", AF_UNIX, SOCK_STREAM_CLOEXEC, 0), "socket(2)");
  try {
    const address = unixAddress(path);
    check(tryCall("connect", fd, address, address.length), `connect(2) to "${longPath}"`);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  } finally {
    close();
  }
}

/**
 * Listens on a unix stream socket, mode 0600 (if the umask allows no more), from which a child will accept: clients can connect
 * and write from now on. A stale socket file is replaced. The caller closes the fd.
 */
export function listenUnix(longPath: string): number {
  const { path, close } = shortSocketPath(longPath);
  const address = unixAddress(path);
  try {
    unlinkSync(longPath);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
  const fd = check(tryCall("socket", AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0), "socket(2)");
  const umask = process.umask(0o177);
  try {
    check(tryCall("bind", fd, address, address.length), `bind(2) of "${path}"`);
    check(tryCall("listen", fd, BACKLOG), `listen(2) on "${path}"`);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  } finally {
    process.umask(umask);
    close();
  }
}

/** The fd of a plain socket, or undefined unless it is connected and has handed all that was written to the kernel. */
export function idleSocketFd(socket: Socket): number | undefined {
  const fd = (socket as Socket & { _handle?: { fd?: number } })._handle?.fd ?? -1; // Bun and Node have no other way to it
  return fd >= 0 && socket.writableLength === 0 ? fd : undefined;
}

/** Sends all of the bytes with a copy of `passedFd`. The bytes must fit into an empty socket. */
export function sendWithFd(socketFd: number, bytes: Uint8Array, passedFd: number): void {
  sendWithFds(socketFd, bytes, [passedFd]);
}
