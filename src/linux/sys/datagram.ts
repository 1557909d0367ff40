/** Datagrams to unix sockets, which Bun and Node cannot send. */
import { closeSync } from "node:fs";
import { utf8 } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";
import { AF_UNIX, SOCK_DGRAM_CLOEXEC, SUN_PATH_BYTES } from "./abi.ts";
import { check, tryCall } from "./door.ts";

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/**
 * Sends one datagram to a unix socket; "@name" is an abstract one. Does not wait while the receiver's queue is full.
 * @throws LighterError ("kernel"): "ENOENT" or "ECONNREFUSED" if nobody listens, "EAGAIN" if the queue is full,
 *   "EMSGSIZE" beyond what a datagram may hold (net.core.wmem_default)
 */
export function sendDatagram(path: string, bytes: Uint8Array): void {
  const name = utf8(path);
  if (name.length >= SUN_PATH_BYTES)
    throw new LighterError("invalid", `socket path "${path}" is longer than ${SUN_PATH_BYTES - 1} bytes`);
  const isAbstract = path.startsWith("@");
  // An abstract name is all bytes of the address and begins with a NUL; a path ends with one.
  const address = new Uint8Array(2 + name.length + (isAbstract ? 0 : 1));
  address[0] = AF_UNIX;
  address.set(name, 2);
  if (isAbstract) address[2] = 0;
  const fd = check(tryCall("socket", AF_UNIX, SOCK_DGRAM_CLOEXEC, 0), "socket(2)");
  try {
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    check(tryCall("sendto", fd, bytes, bytes.length, flags, address, address.length), `sendto(2) to "${path}"`);
  } finally {
    closeSync(fd);
  }
}
