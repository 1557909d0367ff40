/**
 * Encodes and decodes D-Bus messages, as far as talking to systemd needs.
 *
 *   | endian | type | flags | version 1 | body length u32 | serial u32 | fields a(yv) … pad to 8 | body |
 *
 * Every value is aligned to its size, counted from the start of the message. Source: D-Bus specification 0.43, "Message
 * Protocol".
 */
import { LighterError } from "../../base/errors.ts";
import { DBUS_MESSAGE_MAX_BYTES, DBUS_NESTING_MAX } from "../../base/limits.ts";

/** A value together with its type. */
export interface Variant {
  signature: string;
  value: DbusValue;
}

/**
 * y n q i u h d: number; x t: bigint; b: boolean; s o g: string; v: Variant; arrays, structs and dict entries: arrays.
 */
export type DbusValue = number | bigint | boolean | string | Variant | DbusValue[];

export const MESSAGE_TYPE = { call: 1, reply: 2, error: 3, signal: 4 } as const;

export interface Message {
  type: number;
  serial: number;
  replySerial?: number;
  path?: string;
  interface?: string;
  member?: string;
  errorName?: string;
  destination?: string;
  sender?: string;
  /** The body's types. */
  signature: string;
  body: DbusValue[];
}

/** Header fields: code, name in `Message`, type. Others are ignored. */
const FIELDS = [
  { code: 1, name: "path", signature: "o" },
  { code: 2, name: "interface", signature: "s" },
  { code: 3, name: "member", signature: "s" },
  { code: 4, name: "errorName", signature: "s" },
  { code: 5, name: "replySerial", signature: "u" },
  { code: 6, name: "destination", signature: "s" },
  { code: 7, name: "sender", signature: "s" },
  { code: 8, name: "signature", signature: "g" },
] as const;

/** The size of the header's fixed part and the length of the fields that follow. */
export const HEADER_BYTES = 16;
const LITTLE_ENDIAN = 0x6c; // "l"
const BIG_ENDIAN = 0x42; // "B"

export function encodeMessage(message: Message): Uint8Array<ArrayBuffer> {
  const body = new Encoder();
  for (const [index, type] of splitSignature(message.signature).entries()) body.value(type, message.body[index]!);
  const fields = FIELDS.flatMap(({ code, name, signature }) => {
    const value = message[name];
    return value === undefined || value === "" ? [] : [[code, { signature, value }]];
  });
  const header = new Encoder();
  for (const byte of [LITTLE_ENDIAN, message.type, 0, 1]) header.value("y", byte);
  header.value("u", body.bytes.length);
  header.value("u", message.serial);
  header.value("a(yv)", fields);
  header.align(8);
  return new Uint8Array([...header.bytes, ...body.bytes]);
}

/**
 * The size of the message that begins with these bytes; undefined if there are too few to tell.
 * @throws LighterError ("unavailable") if no message begins so, or it is too large.
 */
export function messageBytes(start: Uint8Array): number | undefined {
  if (start.length < HEADER_BYTES) return undefined;
  const littleEndian = endianness(start);
  const view = new DataView(start.buffer, start.byteOffset);
  const size = padded(HEADER_BYTES + view.getUint32(12, littleEndian), 8) + view.getUint32(4, littleEndian);
  if (size > DBUS_MESSAGE_MAX_BYTES) throw malformed(`a message of ${size} bytes`);
  return size;
}

/**
 * Decodes a message.
 * @param bytes One whole message. @throws LighterError ("unavailable") if it is malformed
 */
export function decodeMessage(bytes: Uint8Array): Message {
  if (messageBytes(bytes) !== bytes.length) throw malformed("a message of another length than it says");
  const decoder = new Decoder(bytes, endianness(bytes));
  const [, type, , version, bodyBytes, serial, fields] = ["y", "y", "y", "y", "u", "u", "a(yv)"].map((each) =>
    decoder.value(each),
  );
  if (version !== 1) throw malformed(`protocol version ${version}`);
  decoder.align(8);
  if (bytes.length - decoder.at !== bodyBytes) throw malformed("header fields of another length than they say");
  const message: Message = { type: type as number, serial: serial as number, signature: "", body: [] };
  for (const [code, variant] of fields as [number, Variant][]) {
    const field = FIELDS.find((each) => each.code === code);
    if (field === undefined) continue;
    if (field.signature !== variant.signature) throw malformed(`header field ${code} of type "${variant.signature}"`);
    Object.assign(message, { [field.name]: variant.value });
  }
  message.body = splitSignature(message.signature).map((each) => decoder.value(each));
  if (decoder.at !== bytes.length) throw malformed("a body longer than its signature says");
  return message;
}

function endianness(start: Uint8Array): boolean {
  if (start[0] !== LITTLE_ENDIAN && start[0] !== BIG_ENDIAN) throw malformed(`a message that begins with ${start[0]}`);
  return start[0] === LITTLE_ENDIAN;
}

/** Splits a signature into its complete types: "sa(sv)" is "s" and "a(sv)". @throws LighterError ("unavailable") */
export function splitSignature(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length; ) {
    const end = endOfType(signature, at, 0);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function endOfType(signature: string, at: number, depth: number): number {
  if (depth > DBUS_NESTING_MAX) throw malformed("a signature with too much nesting");
  const code = signature[at];
  if (code === "a") return endOfType(signature, at + 1, depth + 1);
  const close = code === "(" ? ")" : code === "{" ? "}" : undefined;
  if (close === undefined) {
    if (code === undefined || !(code in ALIGNMENT)) throw malformed(`signature ${JSON.stringify(signature)}`);
    return at + 1;
  }
  let end = at + 1;
  while (signature[end] !== close) end = endOfType(signature, end, depth + 1);
  if (end === at + 1) throw malformed("an empty struct");
  return end + 1;
}

/** The alignment in bytes for each type's first letter. */
const ALIGNMENT: Readonly<Record<string, number>> = {
  ...{ y: 1, b: 4, n: 2, q: 2, i: 4, u: 4, h: 4, x: 8, t: 8, d: 8 },
  ...{ s: 4, o: 4, g: 1, v: 1, a: 4, "(": 8, "{": 8 },
};

function padded(length: number, alignment: number): number {
  return Math.ceil(length / alignment) * alignment;
}

class Encoder {
  readonly bytes: number[] = [];

  align(alignment: number): void {
    while (this.bytes.length % alignment !== 0) this.bytes.push(0);
  }

  #integer(value: bigint, size: number): void {
    for (let index = 0; index < size; index++) this.bytes.push(Number((value >> BigInt(8 * index)) & 0xffn));
  }

  value(type: string, value: DbusValue): void {
    const code = type[0]!;
    this.align(ALIGNMENT[code]!);
    switch (code) {
      case "s":
      case "o":
      case "g": {
        const text = Buffer.from(value as string);
        this.#integer(BigInt(text.length), code === "g" ? 1 : 4);
        this.bytes.push(...text, 0);
        return;
      }
      case "v": {
        const { signature, value: inner } = value as Variant;
        this.value("g", signature);
        this.value(signature, inner);
        return;
      }
      case "a":
        this.#array(type.slice(1), value as DbusValue[]);
        return;
      case "(":
      case "{":
        for (const [index, each] of splitSignature(type.slice(1, -1)).entries())
          this.value(each, (value as DbusValue[])[index]!);
        return;
      case "d":
        this.bytes.push(...new Uint8Array(new Float64Array([value as number]).buffer));
        return;
      default:
        this.#integer(BigInt(value as number | bigint | boolean), ALIGNMENT[code]!);
    }
  }

  /** Writes an array. Its length counts neither itself nor the padding before the first element. */
  #array(elementType: string, values: readonly DbusValue[]): void {
    const lengthAt = this.bytes.length;
    this.#integer(0n, 4);
    this.align(ALIGNMENT[elementType[0]!]!);
    const start = this.bytes.length;
    for (const each of values) this.value(elementType, each);
    const length = this.bytes.length - start;
    for (let index = 0; index < 4; index++) this.bytes[lengthAt + index] = (length >>> (8 * index)) & 0xff;
  }
}

class Decoder {
  at = 0;
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly littleEndian: boolean,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Takes the next `size` bytes and returns their offset. */
  #take(size: number): number {
    const { at } = this;
    if (size > this.bytes.length - at) throw malformed("a message that ends too early");
    this.at += size;
    return at;
  }

  align(alignment: number): void {
    this.#take(padded(this.at, alignment) - this.at);
  }

  value(type: string, depth = 0): DbusValue {
    if (depth > DBUS_NESTING_MAX) throw malformed("too much nesting");
    const code = type[0]!;
    const size = ALIGNMENT[code]!;
    this.align(size);
    const view = this.#view;
    const little = this.littleEndian;
    switch (code) {
      case "y":
        return view.getUint8(this.#take(1));
      case "n":
        return view.getInt16(this.#take(2), little);
      case "q":
        return view.getUint16(this.#take(2), little);
      case "i":
        return view.getInt32(this.#take(4), little);
      case "u":
      case "h":
        return view.getUint32(this.#take(4), little);
      case "b":
        return view.getUint32(this.#take(4), little) !== 0;
      case "x":
        return view.getBigInt64(this.#take(8), little);
      case "t":
        return view.getBigUint64(this.#take(8), little);
      case "d":
        return view.getFloat64(this.#take(8), little);
      case "s":
      case "o":
        return this.#text(this.#view.getUint32(this.#take(4), little));
      case "g":
        return this.#text(this.#view.getUint8(this.#take(1)));
      case "v":
        return this.#variant(depth);
      case "a":
        return this.#array(type.slice(1), depth);
      default:
        return splitSignature(type.slice(1, -1)).map((each) => this.value(each, depth + 1));
    }
  }

  #text(length: number): string {
    const start = this.#take(length);
    if (this.bytes[this.#take(1)] !== 0) throw malformed("a string without its end");
    return Buffer.from(this.bytes.subarray(start, start + length)).toString();
  }

  #variant(depth: number): Variant {
    const signature = this.#text(this.#view.getUint8(this.#take(1)));
    if (splitSignature(signature).length !== 1) throw malformed(`a variant of type ${JSON.stringify(signature)}`);
    return { signature, value: this.value(signature, depth + 1) };
  }

  #array(elementType: string, depth: number): DbusValue[] {
    const length = this.#view.getUint32(this.#take(4), this.littleEndian);
    this.align(ALIGNMENT[elementType[0]!]!);
    if (length > this.bytes.length - this.at) throw malformed("an array that ends after its message");
    const end = this.at + length;
    const values: DbusValue[] = [];
    while (this.at < end) values.push(this.value(elementType, depth + 1)); // no value is empty
    if (this.at !== end) throw malformed("an array of another length than it says");
    return values;
  }
}

function malformed(what: string): LighterError {
  return new LighterError("unavailable", `read from D-Bus: ${what}`);
}
