/**
 * DNS messages, as far as a resolver of few names has to understand them. All numbers are big-endian. (RFC 1035 §4)
 *
 *    0        2        4         6         8         10        12
 *   +--------+--------+---------+---------+---------+---------+----------+---------------------------------+
 *   | id     | flags  | QDCOUNT | ANCOUNT | NSCOUNT | ARCOUNT | question | records of the other sections … |
 *   +--------+--------+---------+---------+---------+---------+----------+---------------------------------+
 *   question  name, type (2), class (2)
 *   record    name, type (2), class (2), time to live (4), length of data (2), data
 *   name      labels, each a length (0-63) and so many bytes, up to one of length 0; or 11xxxxxx xxxxxxxx: "as at that offset"
 *   flags     QR(1) opcode(4) AA TC RD RA Z AD CD rcode(4)
 *
 * A forwarded query stays unchanged; it is only read here.
 */
import { utf8 } from "../../base/bytes.ts";
import { DNS_LABEL_MAX_BYTES, DNS_NAME_MAX_BYTES } from "../../base/limits.ts";

const HEADER_BYTES = 12;
const FLAG_RESPONSE = 0x8000;
const OPCODE = 0x7800;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_AVAILABLE = 0x0080;
/** Flags that an answer copies from the query: recursion desired (RFC 1035), checking disabled (RFC 4035 §3.2.2). */
const COPIED_FLAGS = 0x0110;

export const Rcode = { noError: 0, formatError: 1, serverFailure: 2, notImplemented: 4, refused: 5 } as const;
export const RecordType = { a: 1, ptr: 12, mx: 15, aaaa: 28, opt: 41, svcb: 64, https: 65, any: 255 } as const;
export const CLASS_IN = 1;

/** The size of a datagram if the client does not allow more. (RFC 1035 §2.3.4) */
const UDP_MAX_BYTES = 512;
/** The size of a head alone, and the most that a length of two bytes allows. */
export const MESSAGE_MIN_BYTES = HEADER_BYTES;
export const MESSAGE_MAX_BYTES = 65535;
/** The size of datagrams that we accept: it needs no fragments on any link. (DNS flag day 2020) */
const EDNS_UDP_BYTES = 1232;
/** The size of an OPT record without options. (RFC 6891 §6.1.2) */
const EDNS_RECORD_BYTES = 11;
/** Docker's number, in seconds. */
const TIME_TO_LIVE = 600;

export interface Query {
  id: number;
  flags: number;
  /**
   * The name in small letters, without a final dot; "" is the root. A dot or backslash inside a label has a backslash before it.
   */
  name: string;
  type: number;
  class: number;
  /** The question's bytes: an answer has the case in which the client asked. */
  question: Uint8Array;
  edns: boolean;
  /** The largest datagram that the client accepts. */
  udpMaxBytes: number;
}

/** A record for the name in the query. */
export interface AnswerRecord {
  type: number;
  data: Uint8Array;
}

/**
 * Parses a client's query. Returns the response code if it must be refused, or undefined if it must not be answered: it is too
 * short, or itself an answer (two servers that answered each other would never stop).
 */
export function parseQuery(message: Uint8Array): Query | number | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const flags = u16(message, 2);
  if ((flags & FLAG_RESPONSE) !== 0) return undefined;
  if ((flags & OPCODE) !== 0) return Rcode.notImplemented;
  const question = readQuestion(message);
  if (question === undefined) return Rcode.formatError;
  const udpBytes = readEdns(message, question.end);
  if (udpBytes === undefined) return Rcode.formatError;
  return {
    id: u16(message, 0),
    flags,
    name: question.name,
    type: u16(message, question.end - 4),
    class: u16(message, question.end - 2),
    question: message.slice(HEADER_BYTES, question.end),
    edns: udpBytes > 0,
    udpMaxBytes: Math.max(udpBytes, UDP_MAX_BYTES),
  };
}

function u16(message: Uint8Array, at: number): number {
  return (message[at]! << 8) | message[at + 1]!;
}

/** The only question, and where it ends. Undefined if there is not exactly one, or it is cut off. */
function readQuestion(message: Uint8Array): { name: string; end: number } | undefined {
  if (u16(message, 4) !== 1) return undefined;
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (;;) {
    const length = message[at];
    // Nothing comes before the first name that a pointer could lead to.
    if (length === undefined || length > DNS_LABEL_MAX_BYTES) return undefined;
    at++;
    if (length === 0) break;
    if (at + length - HEADER_BYTES >= DNS_NAME_MAX_BYTES || at + length > message.length) return undefined;
    labels.push(labelText(message.subarray(at, at + length)));
    at += length;
  }
  const end = at + 4;
  return end > message.length ? undefined : { name: labels.join("."), end };
}

function labelText(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  return text.replace(/[.\\]/g, "\\$&").toLowerCase();
}

/**
 * The size of datagrams in the OPT record among the records from `at` on; 0 without such a record. Undefined if the message does
 * not end where its last record ends, or has two of them.
 */
function readEdns(message: Uint8Array, at: number): number | undefined {
  const before = u16(message, 6) + u16(message, 8);
  const count = before + u16(message, 10);
  let udpBytes = 0;
  for (let index = 0; index < count; index++) {
    const fixed = skipName(message, at);
    if (fixed === undefined || fixed + 10 > message.length) return undefined;
    if (index >= before && u16(message, fixed) === RecordType.opt) {
      if (udpBytes > 0 || fixed !== at + 1) return undefined;
      udpBytes = Math.max(u16(message, fixed + 2), UDP_MAX_BYTES);
    }
    at = fixed + 10 + u16(message, fixed + 8);
  }
  return at === message.length ? udpBytes : undefined;
}

/** The offset at which the name at `at` ends. */
function skipName(message: Uint8Array, at: number): number | undefined {
  for (const start = at; at - start < DNS_NAME_MAX_BYTES; ) {
    const length = message[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    if (length > DNS_LABEL_MAX_BYTES) return undefined;
    at += 1 + length;
  }
  return undefined;
}

/**
 * Encodes the answer about one of our names. No records means that the name has none of that type. Records that do not fit into
 * `maxBytes` are left out, and the client is told to ask by TCP.
 */
export function encodeAnswer(query: Query, records: readonly AnswerRecord[], maxBytes: number): Uint8Array {
  const edns = query.edns ? EDNS_RECORD_BYTES : 0;
  let bytes = HEADER_BYTES + query.question.length + edns;
  let count = 0;
  for (const { data } of records) {
    if (bytes + 12 + data.length > maxBytes) break;
    bytes += 12 + data.length;
    count++;
  }
  const truncated = count < records.length ? FLAG_TRUNCATED : 0;
  const message = new Uint8Array(bytes);
  const view = new DataView(message.buffer);
  writeHead(view, query, FLAG_RECURSION_AVAILABLE | truncated);
  message.set(query.question, HEADER_BYTES);
  view.setUint16(6, count);
  let at = HEADER_BYTES + query.question.length;
  for (const { type, data } of records.slice(0, count)) {
    view.setUint16(at, 0xc000 | HEADER_BYTES); // a pointer to the name in the question
    view.setUint16(at + 2, type);
    view.setUint16(at + 4, CLASS_IN);
    view.setUint32(at + 6, TIME_TO_LIVE);
    view.setUint16(at + 10, data.length);
    message.set(data, at + 12);
    at += 12 + data.length;
  }
  if (edns > 0) writeEdns(view, at);
  return message;
}

/** Encodes an answer without records. Like Docker's it does not claim that recursion is available. */
export function encodeFailure(query: Query, rcode: number): Uint8Array {
  const edns = query.edns ? EDNS_RECORD_BYTES : 0;
  const message = new Uint8Array(HEADER_BYTES + query.question.length + edns);
  const view = new DataView(message.buffer);
  writeHead(view, query, rcode);
  message.set(query.question, HEADER_BYTES);
  if (edns > 0) writeEdns(view, HEADER_BYTES + query.question.length);
  return message;
}

function writeHead(view: DataView, query: Query, flags: number): void {
  view.setUint16(0, query.id);
  view.setUint16(2, FLAG_RESPONSE | (query.flags & COPIED_FLAGS) | flags);
  view.setUint16(4, 1);
  view.setUint16(10, query.edns ? 1 : 0);
}

/** Writes the OPT record that a query with one gets back. (RFC 6891 §6.1.1) */
function writeEdns(view: DataView, at: number): void {
  view.setUint16(at + 1, RecordType.opt);
  view.setUint16(at + 3, EDNS_UDP_BYTES);
}

/** Encodes the refusal of a message that `parseQuery` refused: its head, and the reason. */
export function encodeRefusal(message: Uint8Array, rcode: number): Uint8Array {
  const head = new Uint8Array(HEADER_BYTES);
  head.set(message.subarray(0, 2));
  const view = new DataView(head.buffer);
  view.setUint16(2, FLAG_RESPONSE | (u16(message, 2) & (OPCODE | COPIED_FLAGS)) | rcode);
  return head;
}

/** The response code if the message answers this query, which was sent with another id; undefined if it does not. */
export function answerCode(message: Uint8Array, id: number, query: Query): number | undefined {
  if (message.length < HEADER_BYTES || u16(message, 0) !== id) return undefined;
  const flags = u16(message, 2);
  if ((flags & FLAG_RESPONSE) === 0) return undefined;
  const rcode = flags & 0xf;
  // A server that cannot read the question need not repeat it.
  if (u16(message, 4) === 0) return rcode === Rcode.noError ? undefined : rcode;
  const question = readQuestion(message);
  if (question?.name !== query.name) return undefined;
  const same = u16(message, question.end - 4) === query.type && u16(message, question.end - 2) === query.class;
  return same ? rcode : undefined;
}

/** A copy of the message with another id. */
export function withId(message: Uint8Array, id: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(message);
  copy[0] = id >> 8;
  copy[1] = id & 0xff;
  return copy;
}

/** The bytes of a name, uncompressed; undefined if it, or a label, has a length that is not allowed. */
export function encodeName(name: string): Uint8Array | undefined {
  const bytes = [];
  for (const label of name.split(".")) {
    const encoded = utf8(label);
    if (encoded.length === 0 || encoded.length > DNS_LABEL_MAX_BYTES) return undefined;
    bytes.push(encoded.length, ...encoded);
  }
  bytes.push(0);
  return bytes.length > DNS_NAME_MAX_BYTES ? undefined : Uint8Array.from(bytes);
}
