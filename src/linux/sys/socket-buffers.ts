/** The sizes of a socket's buffers: socket(7). The kernel doubles the number for its own needs. */
import { SOL_SOCKET } from "./abi.ts";
import { tryCall } from "./door.ts";

const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;

/** Sets a buffer's size: with the right to do so, beyond the host's limit (net.core.rmem_max); without it, up to that limit. */
function setBuffer(fd: number, force: number, plain: number, bytes: number): void {
  const value = new Int32Array([bytes]);
  if (tryCall("setsockopt", fd, SOL_SOCKET, force, value, 4) < 0)
    tryCall("setsockopt", fd, SOL_SOCKET, plain, value, 4);
}

/** Limits how much is under way. A unix socket needs this alone: its other end has no buffer of its own. */
export function setSendBuffer(fd: number, bytes: number): void {
  setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, bytes);
}

export function setReceiveBuffer(fd: number, bytes: number): void {
  setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
}
