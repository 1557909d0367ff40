/** How much the kernel keeps for a socket: socket(7). It doubles the number, for what it needs itself. */
import { SOL_SOCKET } from "./abi.ts";
import { libc } from "./libc.ts";

const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;

/** Beyond the host's limit (net.core.rmem_max) for those who may; else up to it. */
function setBuffer(fd: number, force: number, plain: number, bytes: number): void {
  const value = new Int32Array([bytes]);
  if (libc.setsockopt(fd, SOL_SOCKET, force, value, 4) < 0) libc.setsockopt(fd, SOL_SOCKET, plain, value, 4);
}

/** Of a unix socket this is all that is on its way: its other end has no buffer of its own. */
export function setSendBuffer(fd: number, bytes: number): void {
  setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, bytes);
}

export function setReceiveBuffer(fd: number, bytes: number): void {
  setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
}
