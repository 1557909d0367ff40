/** Addresses of unix sockets. */
import { utf8 } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";
import { AF_UNIX, SUN_PATH_BYTES } from "./abi.ts";

/** Returns the `struct sockaddr_un` of a path: u16 family, the path, a NUL. @throws LighterError "invalid" if it is too long */
export function unixAddress(path: string): Uint8Array {
  const bytes = utf8(path);
  if (bytes.length >= SUN_PATH_BYTES)
    throw new LighterError("invalid", `socket path "${path}" is longer than ${SUN_PATH_BYTES - 1} bytes`);
  const address = new Uint8Array(2 + bytes.length + 1);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(bytes, 2);
  return address;
}
