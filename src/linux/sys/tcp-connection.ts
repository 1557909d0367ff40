/** TCP connections to addresses with a zone, which can be given up while they are being made. */
import { closeSync } from "node:fs";
import { utf8 } from "../../base/bytes.ts";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { parseIpAddress } from "../../base/ip-address.ts";
import { AF_INET, AF_INET6, SOCK_DGRAM_CLOEXEC } from "./abi.ts";
import { check, tryCall } from "./door.ts";

const SOCK_STREAM_NONBLOCK_CLOEXEC = 0o1 | 0o4000 | 0o2000000;

/**
 * Opens a TCP socket that is being connected to an address, with or without a zone, from this thread's network namespace. The
 * caller closes it, or gives it to `Bun.connect({ fd })`, whose socket can be closed before the connection is made. `Bun.connect`
 * with an address cannot do that (Bun 1.4.5): its socket lasts for the two minutes for which the kernel tries.
 * @throws LighterError ("kernel"): an error that is known at once, such as "ENETUNREACH"
 */
export function beginTcpConnection(address: string, port: number): number {
  const to = socketAddress(address, port);
  const fd = check(
    tryCall("socket", to.length === 16 ? AF_INET : AF_INET6, SOCK_STREAM_NONBLOCK_CLOEXEC, 0),
    "socket(2)",
  );
  try {
    check(tryCall("connect", fd, to, to.length), `connect(2) to ${address}`);
  } catch (error) {
    if (errnoOf(error) !== "EINPROGRESS") {
      closeSync(fd);
      throw error;
    }
  }
  return fd;
}

/** A `struct sockaddr_in` (16 bytes) or `sockaddr_in6` (28). Sources: ip(7), ipv6(7). */
function socketAddress(address: string, port: number): Uint8Array {
  const [bare = "", zone] = address.split("%", 2);
  const ip = parseIpAddress(bare);
  const bytes = new Uint8Array(ip.length === 4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, ip.length === 4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(ip, ip.length === 4 ? 4 : 8);
  if (zone !== undefined) view.setUint32(24, interfaceIndex(zone), true);
  return bytes;
}

/** Writes "fe80::1%eth0" as "fe80::1%2", the form that `Bun.udpSocket` takes. Other addresses stay as they are. */
export function withZoneIndex(address: string): string {
  const [bare, zone] = address.split("%", 2);
  return zone === undefined ? address : `${bare}%${interfaceIndex(zone)}`;
}

/** struct ifreq: the name, with its NUL, then the index. Source: netdevice(7). */
const IFREQ_BYTES = 40;
const INDEX_AT = 16;
const SIOCGIFINDEX = 0x8933;

/** The index of a zone, which is an interface of this thread's network namespace, or its index already. */
function interfaceIndex(zone: string): number {
  if (/^\d{1,9}$/.test(zone)) return Number(zone);
  const request = new Uint8Array(IFREQ_BYTES);
  request.set(utf8(zone).subarray(0, INDEX_AT - 1));
  const fd = check(tryCall("socket", AF_INET, SOCK_DGRAM_CLOEXEC, 0), "socket(2)");
  const rc = tryCall("ioctl", fd, SIOCGIFINDEX, request);
  closeSync(fd);
  if (rc < 0) throw new LighterError("kernel", `no interface is called "${zone}"`, { errno: "ENODEV" });
  return new DataView(request.buffer).getInt32(INDEX_AT, true);
}
