/**
 * Messages with file descriptors: unix(7), cmsg(3). All that the kernel reads or writes is in one buffer, which the call
 * itself keeps alive:
 *
 *    0 struct msghdr   u64 name, u32 name length, pad, u64 iov, u64 iov count, u64 control, u64 control length, i32 flags, pad
 *   56 struct iovec    u64 base, u64 length
 *   72 struct cmsghdr  u64 length, i32 level, i32 type, i32 fd…
 *  128 the bytes
 */

import { LighterError } from "../../base/errors.ts";
import { AF_UNIX, ECONNRESET, MSG_NOSIGNAL_DONTWAIT, SOCK_STREAM_CLOEXEC, SOL_SOCKET } from "./abi.ts";
import { addressOf, check, tryCall } from "./door.ts";

const SOCK_SEQPACKET_CLOEXEC = 0o5 | 0o2000000;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;

const IOVEC_AT = 56;
const CONTROL_AT = 72;
const FDS_AT = CONTROL_AT + 16;
const BYTES_AT = 128;
const FDS_MAX = (BYTES_AT - FDS_AT) / 4;

/** Opens both ends of a connection, close-on-exec; the caller closes them. "packets" keeps messages apart. */
export function socketPair(kind: "stream" | "packets"): [number, number] {
  const fds = new Int32Array(2);
  const type = kind === "stream" ? SOCK_STREAM_CLOEXEC : SOCK_SEQPACKET_CLOEXEC;
  check(tryCall("socketpair", AF_UNIX, type, 0, fds), "socketpair(2)");
  return [fds[0]!, fds[1]!];
}

function describe(message: Uint8Array, byteCount: number, controlLength: number): DataView {
  const view = new DataView(message.buffer, message.byteOffset);
  const at = addressOf(message);
  const u64 = (offset: number, value: bigint) => view.setBigUint64(offset, value, true);
  u64(0, 0n);
  u64(8, 0n);
  u64(16, at + BigInt(IOVEC_AT));
  u64(24, 1n);
  u64(32, controlLength === 0 ? 0n : at + BigInt(CONTROL_AT));
  u64(40, BigInt(controlLength));
  u64(48, 0n);
  u64(IOVEC_AT, at + BigInt(BYTES_AT));
  u64(IOVEC_AT + 8, BigInt(byteCount));
  return view;
}

/** Sends all of the bytes with copies of the fds. The bytes must fit into an empty socket. */
export function sendWithFds(socketFd: number, bytes: Uint8Array, passedFds: readonly number[]): void {
  if (passedFds.length > FDS_MAX) throw new LighterError("internal", `more than ${FDS_MAX} fds in one message`);
  const message = new Uint8Array(BYTES_AT + bytes.length);
  message.set(bytes, BYTES_AT);
  const length = 16 + 4 * passedFds.length;
  // msg_controllen is CMSG_SPACE: the length rounded up to a multiple of 8.
  const view = describe(message, bytes.length, passedFds.length === 0 ? 0 : Math.ceil(length / 8) * 8);
  view.setBigUint64(CONTROL_AT, BigInt(length), true);
  view.setInt32(CONTROL_AT + 8, SOL_SOCKET, true);
  view.setInt32(CONTROL_AT + 12, SCM_RIGHTS, true);
  for (const [index, fd] of passedFds.entries()) view.setInt32(FDS_AT + 4 * index, fd, true);
  const sent = check(tryCall("sendmsg", socketFd, message, MSG_NOSIGNAL_DONTWAIT), "sendmsg(2)");
  if (sent !== bytes.length) throw new LighterError("internal", `sendmsg(2) took ${sent} of ${bytes.length} bytes`);
}

/**
 * Waits for the next message. Its bytes are valid until the next call with this buffer; the caller closes its fds. A message
 * without bytes means that the other end is closed.
 */
export function receiveWithFds(socketFd: number, buffer: Uint8Array): { bytes: Uint8Array; fds: number[] } {
  for (;;) {
    const view = describe(buffer, buffer.length - BYTES_AT, BYTES_AT - CONTROL_AT);
    const length = tryCall("recvmsg", socketFd, buffer, MSG_CMSG_CLOEXEC);
    if (length === ECONNRESET) return { bytes: new Uint8Array(), fds: [] };
    check(length, "recvmsg(2)");
    const hasControl = Number(view.getBigUint64(40, true)) > 0;
    const count = hasControl ? (Number(view.getBigUint64(CONTROL_AT, true)) - 16) / 4 : 0;
    const fds = Array.from({ length: count }, (_, index) => view.getInt32(FDS_AT + 4 * index, true));
    return { bytes: buffer.subarray(BYTES_AT, BYTES_AT + length), fds };
  }
}
