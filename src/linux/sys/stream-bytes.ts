/** Reads and writes sockets, pipes and files in a process of one thread that may block. */

import { readSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { EAGAIN, MSG_NOSIGNAL_DONTWAIT, POLLIN, POLLOUT } from "./abi.ts";
import { kernelError, tryCall } from "./door.ts";
import { sendWithFds } from "./passed-fds.ts";
import { poll } from "./poll.ts";

const WAIT_MS = 1000;

/** Waits until the fd is ready or its other end has gone. `onWait` is called at intervals meanwhile. */
function waitFor(fd: number, events: number, onWait: () => void): void {
  while (poll(fd, events, WAIT_MS) <= 0) onWait();
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
    const sent = tryCall("sendto", socketFd, rest, rest.length, MSG_NOSIGNAL_DONTWAIT, null, 0);
    if (sent >= 0) done += sent;
    else if (sent === EAGAIN) waitFor(socketFd, POLLOUT, onWait);
    else throw kernelError(sent, "send(2)");
  }
}
