/** Netlink sockets: opening them, sending and receiving. */
import { closeSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { EAGAIN, SO_ATTACH_FILTER, SOL_SOCKET } from "./abi.ts";
import { addressOf, check, tryCall } from "./door.ts";
import { setReceiveBuffer, setSendBuffer } from "./socket-buffers.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0o2000000 | 0o4000;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_TRUNC = 0x20;

/** struct sockaddr_nl: u16 family, u16 padding, u32 port id, u32 groups. */
const ADDRESS_BYTES = 12;
const KERNEL = new Uint8Array(ADDRESS_BYTES);
KERNEL[0] = AF_NETLINK;

function setOption(fd: number, level: number, option: number, value: number): number {
  return tryCall("setsockopt", fd, level, option, new Int32Array([value]), 4);
}

/**
 * Opens a non-blocking netlink socket in the calling thread's network namespace. Acknowledgements have the kernel's words, and do
 * not repeat the request. The caller closes it.
 */
export function openNetlink(protocol: number, options: { bufferBytes: number; groups?: readonly number[] }): number {
  const fd = check(tryCall("socket", AF_NETLINK, SOCK_RAW_CLOEXEC_NONBLOCK, protocol), "socket(2) AF_NETLINK");
  try {
    setSendBuffer(fd, options.bufferBytes);
    setReceiveBuffer(fd, options.bufferBytes);
    check(setOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1), "setsockopt(2) NETLINK_CAP_ACK");
    check(setOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1), "setsockopt(2) NETLINK_EXT_ACK");
    check(setOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1), "setsockopt(2) NETLINK_GET_STRICT_CHK");
    const address = new Uint8Array(KERNEL); // port id 0: the kernel picks one
    check(tryCall("bind", fd, address, ADDRESS_BYTES), "bind(2) of a netlink socket");
    for (const group of options.groups ?? [])
      check(setOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group), `joining netlink group ${group}`);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Sends requests. When it returns, the kernel has carried them out, and its answers can be received. */
export function sendNetlink(fd: number, bytes: Uint8Array, what: string): void {
  check(tryCall("sendto", fd, bytes, bytes.length, 0, KERNEL, ADDRESS_BYTES), what);
}

/**
 * Receives the next datagram from the kernel and returns its length in bytes, or undefined if there is none.
 * @throws LighterError ("kernel"): ENOBUFS if datagrams were lost, EMSGSIZE for one that does not fit into `into`
 */
export function receiveNetlink(fd: number, into: Uint8Array): number | undefined {
  const sender = new Uint8Array(ADDRESS_BYTES);
  for (;;) {
    const room = new Uint32Array([ADDRESS_BYTES]);
    const length = tryCall("recvfrom", fd, into, into.length, MSG_TRUNC, sender, room);
    if (length === EAGAIN) return undefined;
    check(length, "recvfrom(2) of a netlink socket");
    if (new DataView(sender.buffer).getUint32(4, true) !== 0) continue; // it is another process's
    if (length > into.length)
      throw new LighterError("kernel", `a netlink message of ${length} bytes`, { errno: "EMSGSIZE" });
    return length;
  }
}

/** The kernel's name for a socket: the port id in its requests, and in what other sockets are told of their effects. */
export function portIdOf(fd: number): number {
  const address = new Uint8Array(ADDRESS_BYTES);
  check(tryCall("getsockname", fd, address, new Uint32Array([ADDRESS_BYTES])), "getsockname(2) of a netlink socket");
  return new DataView(address.buffer).getUint32(4, true);
}

/**
 * Lets the kernel keep datagrams from the socket whose first message has this port id: news of what another socket has done.
 * Those cost nothing and cannot overrun it. Source: Linux Documentation/networking/filter.rst.
 */
export function leaveOut(fd: number, portId: number): void {
  const PORT_ID_AT = 12;
  const inNetworkOrder = new DataView(new ArrayBuffer(4));
  inNetworkOrder.setUint32(0, portId, true);
  // struct sock_filter: u16 code, u8 jump if true, u8 jump if false, u32 operand.
  const instructions = [
    [0x20, 0, 0, PORT_ID_AT], // load a big-endian word
    [0x15, 0, 1, inNetworkOrder.getUint32(0)], // if it is equal, go on; else skip one
    [0x06, 0, 0, 0], // take no byte
    [0x06, 0, 0, 0xffffffff], // take all
  ] as const;
  const program = new DataView(new ArrayBuffer(8 * instructions.length));
  for (const [index, [code, ifTrue, ifFalse, operand]] of instructions.entries()) {
    program.setUint16(8 * index, code, true);
    program.setUint8(8 * index + 2, ifTrue);
    program.setUint8(8 * index + 3, ifFalse);
    program.setUint32(8 * index + 4, operand, true);
  }
  // struct sock_fprog: u16 length, padding, pointer.
  const descriptor = new DataView(new ArrayBuffer(16));
  const bytes = new Uint8Array(program.buffer);
  descriptor.setUint16(0, instructions.length, true);
  descriptor.setBigUint64(8, addressOf(bytes), true);
  const result = tryCall("setsockopt", fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(descriptor.buffer), 16);
  check(result, "setsockopt(2) SO_ATTACH_FILTER");
}
