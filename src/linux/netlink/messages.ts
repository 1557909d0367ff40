/**
 * Netlink messages, written and read.
 *
 *   | u32 length | u16 type | u16 flags | u32 sequence | u32 port id | a family's header | attributes |
 *
 * Each begins at a multiple of 4. Source: netlink(7), Linux include/uapi/linux/netlink.h.
 */
import type { Attribute } from "./attributes.ts";
import { Attributes, align4, attributesBytes, brokenMessage, viewOf, writeAttributes } from "./attributes.ts";

export const NLM_F = {
  REQUEST: 0x1,
  MULTI: 0x2,
  ACK: 0x4,
  ECHO: 0x8,
  DUMP_INTR: 0x10,
  /** Flags of a message that makes something new. */
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  /** Flags of a message that asks. */
  DUMP: 0x300,
  /** Flags of an acknowledgement: CAPPED does not repeat the request. */
  CAPPED: 0x100,
  ACK_TLVS: 0x200,
} as const;

export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3, OVERRUN: 4 } as const;

const MESSAGE_HEADER_BYTES = 16;
const SEQUENCE_AT = 8;

export interface Message {
  type: number;
  flags: number;
  sequence: number;
  portId: number;
  /** What follows the header: the family's header, and attributes. */
  payload: Uint8Array;
}

/**
 * Encodes a request. `flags` are added to REQUEST; `header` is the family's, a multiple of 4 bytes. The sequence number is set
 * when it is sent. `places` gets the offset of each attribute's value, for whoever changes it later.
 */
export function encodeMessage(
  message: { type: number; flags: number; header: Uint8Array; attributes?: readonly Attribute[] },
  places?: Map<Attribute, number>,
): Uint8Array<ArrayBuffer> {
  const { type, flags, header, attributes = [] } = message;
  const start = MESSAGE_HEADER_BYTES + align4(header.length);
  const bytes = new Uint8Array(start + attributesBytes(attributes));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags | NLM_F.REQUEST, true);
  bytes.set(header, MESSAGE_HEADER_BYTES);
  writeAttributes(view, start, attributes, places);
  return bytes;
}

/** Joins messages, numbering them from `firstSequence` on. */
export function joinMessages(messages: readonly Uint8Array[], firstSequence: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(messages.reduce((sum, message) => sum + align4(message.length), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [index, message] of messages.entries()) {
    bytes.set(message, at);
    view.setUint32(at + SEQUENCE_AT, (firstSequence + index) >>> 0, true);
    at += align4(message.length);
  }
  return bytes;
}

/**
 * The messages in one datagram. Their payloads are parts of `bytes`.
 * @throws LighterError ("kernel", EBADMSG)
 */
export function parseMessages(bytes: Uint8Array): Message[] {
  const messages: Message[] = [];
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < MESSAGE_HEADER_BYTES) throw brokenMessage("ends within its header");
    const length = view.getUint32(at, true);
    if (length < MESSAGE_HEADER_BYTES || length > bytes.length - at)
      throw brokenMessage(`says ${length} bytes of ${bytes.length - at}`);
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + SEQUENCE_AT, true),
      portId: view.getUint32(at + 12, true),
      payload: bytes.subarray(at + MESSAGE_HEADER_BYTES, at + length),
    });
    at += align4(length);
  }
  return messages;
}

/** The attributes of a message, after its family's header. */
export function attributesOf(message: Message, headerBytes: number): Attributes {
  if (message.payload.length < headerBytes) throw brokenMessage(`of type ${message.type} ends within its header`);
  return new Attributes(message.payload.subarray(align4(headerBytes)));
}

/** The kernel's verdict on a request: NLMSG_ERROR, or NLMSG_DONE of a dump. */
interface Acknowledgement {
  /** The error's number; 0 for success. */
  errno: number;
  /** The kernel's own words. */
  text?: string;
  /** The offset, from the start of the message, of the attribute that the kernel refuses. */
  attributeOffset?: number;
}

const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;

/** Parses an acknowledgement. @throws LighterError ("kernel", EBADMSG) */
export function parseAcknowledgement(message: Message): Acknowledgement {
  const { payload, type, flags } = message;
  if (payload.length < 4) throw brokenMessage("acknowledges without an errno");
  const errno = -viewOf(payload).getInt32(0, true) || 0;
  if ((flags & NLM_F.ACK_TLVS) === 0) return { errno };
  const attributes = new Attributes(payload.subarray(4 + (type === NLMSG.DONE ? 0 : repeatedBytes(message))));
  const text = attributes.text(NLMSGERR_ATTR_MSG);
  const attributeOffset = attributes.u32(NLMSGERR_ATTR_OFFS);
  return { errno, ...(text !== undefined && { text }), ...(attributeOffset !== undefined && { attributeOffset }) };
}

/** How many bytes of the request an acknowledgement repeats. */
function repeatedBytes({ payload, flags }: Message): number {
  if (payload.length < 4 + MESSAGE_HEADER_BYTES) throw brokenMessage("acknowledges nothing");
  const bytes = flags & NLM_F.CAPPED ? MESSAGE_HEADER_BYTES : align4(viewOf(payload).getUint32(4, true));
  if (bytes > payload.length - 4) throw brokenMessage(`repeats ${bytes} bytes in ${payload.length}`);
  return bytes;
}
