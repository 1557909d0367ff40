/** Keeps a port of the host by a socket that does nothing else with it. */
import { closeSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { AF_INET, AF_INET6, SO_ATTACH_FILTER, SOL_SOCKET } from "./abi.ts";
import { addressOf, check, tryCall } from "./door.ts";

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;
const IPPROTO_SCTP = 132;
const SO_REUSEADDR = 2;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

/** A filter of one instruction: "take no byte". */
const TAKE_NOTHING = Uint8Array.of(0x06, 0, 0, 0, 0, 0, 0, 0);

/**
 * Attaches a filter by a struct sock_fprog. That is made here because what only it points to would be garbage at its next use.
 */
function attachFilter(fd: number): void {
  const filter = new Uint8Array(16);
  const view = new DataView(filter.buffer);
  view.setUint16(0, TAKE_NOTHING.length / 8, true);
  view.setBigUint64(8, addressOf(TAKE_NOTHING), true);
  check(
    tryCall("setsockopt", fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, filter.length),
    "setsockopt(2) SO_ATTACH_FILTER",
  );
}

function setFlag(fd: number, level: number, option: number): void {
  check(tryCall("setsockopt", fd, level, option, new Int32Array([1]), 4), `setsockopt(2) ${level} ${option}`);
}

/** A sockaddr_in or sockaddr_in6: u16 family, be16 port, in IPv6 4 bytes of flow, and the address. */
function socketAddress(address: Uint8Array, port: number): Uint8Array {
  const isIpv4 = address.length === 4;
  const bytes = new Uint8Array(isIpv4 ? 16 : 28);
  bytes[0] = isIpv4 ? AF_INET : AF_INET6;
  bytes[2] = port >> 8;
  bytes[3] = port & 0xff;
  bytes.set(address, isIpv4 ? 4 : 8);
  return bytes;
}

/**
 * Opens a socket that has a port and does nothing with it, so that nobody else gets the port: connections are refused, datagrams
 * are lost. The caller closes the fd. `address` is in network order; the IPv6 address "::" does not include IPv4.
 *
 * Connections of a server that has ended keep its port for a minute (TIME_WAIT), but not from sockets with SO_REUSEADDR, which
 * servers set. So it is set here, too. Among such sockets, only one that listens keeps the others away: so this one listens, and
 * takes nothing.
 * @throws LighterError ("kernel"): EADDRINUSE, EADDRNOTAVAIL, EACCES; EPROTONOSUPPORT for a protocol that the kernel does not
 * have
 */
export function reservePort(protocol: "tcp" | "udp" | "sctp", address: Uint8Array, port: number): number {
  try {
    return bindPort(protocol, address, port, false);
  } catch (error) {
    if (protocol === "udp" || errnoOf(error) !== "EADDRINUSE") throw error;
    return bindPort(protocol, address, port, true);
  }
}

function bindPort(protocol: "tcp" | "udp" | "sctp", address: Uint8Array, port: number, isReusing: boolean): number {
  const isIpv4 = address.length === 4;
  const type = (protocol === "udp" ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC_NONBLOCK;
  const fd = check(
    tryCall("socket", isIpv4 ? AF_INET : AF_INET6, type, protocol === "sctp" ? IPPROTO_SCTP : 0),
    "socket(2)",
  );
  try {
    if (!isIpv4) setFlag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (isReusing) setFlag(fd, SOL_SOCKET, SO_REUSEADDR);
    // Datagrams that the firewall lets through would fill the buffer, which costs memory.
    if (isReusing || protocol === "udp") attachFilter(fd);
    const name = socketAddress(address, port);
    check(tryCall("bind", fd, name, name.length), "bind(2)");
    if (isReusing) check(tryCall("listen", fd, 1), "listen(2)");
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
