/** Reads and writes sockets, pipes and files in a process of one thread that may block. */

import { readSync } from "node:fs";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { MSG_NOSIGNAL_DONTWAIT, POLLIN, POLLOUT } from "./abi.ts";
import { lastErrno, libc } from "./libc.ts";
import { sendWithFds } from "./passed-fds.ts";

const WAIT_MS = 1000;

/** Waits until the fd is ready or its other end has gone. `onWait` is called at intervals meanwhile. */
function waitFor(fd: number, events: number, onWait: () => void): void {
  // struct pollfd: i32 fd, i16 events, i16 revents. Source: poll(2).
  const pollfd = new Int32Array([fd, events]);
  while (libc.poll(pollfd, 1, WAIT_MS) <= 0) onWait();
}

/** Waits until there are bytes, or the end. `onWait` is called at intervals meanwhile. */
export function waitForBytes(fd: number, onWait: () => void): void {
  waitFor(fd, POLLIN, onWait);
}

/** Sends a few bytes with copies of fds. @throws LighterError ("kernel") with EPIPE or ECONNRESET if the other end has closed */
export function sendWithFdsPatiently(
  socketFd: number,
  bytes: Uint8Array,
  fds: readonly number[],
  onWait: () => void,
): void {
  for (;;) {
    try {
      sendWithFds(socketFd, bytes, fds);
      return;
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") throw error;
      waitFor(socketFd, POLLOUT, onWait);
    }
  }
}

/** Reads into the buffer what there is, and returns how many bytes. 0 means the end. */
export function receiveBytes(fd: number, buffer: Uint8Array, onWait: () => void): number {
  waitForBytes(fd, onWait);
  return readSync(fd, buffer);
}

/** Sends all of the bytes to a socket. @throws LighterError ("kernel") with EPIPE or ECONNRESET if the other end has closed */
export function sendBytes(socketFd: number, bytes: Uint8Array, onWait: () => void): void {
  for (let done = 0; done < bytes.length; ) {
    const rest = bytes.subarray(done);
    const sent = Number(libc.sendto(socketFd, rest, rest.length, MSG_NOSIGNAL_DONTWAIT, null, 0));
    if (sent >= 0) done += sent;
    else {
      const errno = lastErrno();
      if (errno === "EAGAIN") waitFor(socketFd, POLLOUT, onWait);
      else if (errno !== "EINTR") throw new LighterError("kernel", `send(2): ${errno}`, { errno });
    }
  }
}
