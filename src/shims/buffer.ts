/** The part of Node's Buffer that is used here. */

import { lookUp } from "./given.ts";
import { host } from "./host.ts";
import { bytesOf } from "./text.ts";

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
/** The value of a base64 digit by its char code; both alphabets. */
const DIGITS = new Map<number, number>([...`${BASE64}-_`].map((digit, i) => [digit.charCodeAt(0), i < 64 ? i : i - 2]));

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** The bytes of pairs of hex digits, up to the first that is none. */
export function fromHex(text: string): Uint8Array {
  const digits = /^(?:[0-9a-fA-F]{2})*/.exec(text)![0];
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const three = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += BASE64[three >> 18]! + BASE64[(three >> 12) & 63]!;
    text += i + 1 < bytes.length ? BASE64[(three >> 6) & 63]! : "=";
    text += i + 2 < bytes.length ? BASE64[three & 63]! : "=";
  }
  return text;
}

/** As Node does: characters that are no digits are left out, and "=" ends the text. */
function fromBase64(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((text.length * 3) / 4));
  let [length, bits, count] = [0, 0, 0];
  for (let i = 0; i < text.length && text[i] !== "="; i++) {
    const digit = DIGITS.get(text.charCodeAt(i));
    if (digit === undefined) continue;
    bits = ((bits << 6) | digit) & 0xffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes[length++] = (bits >> count) & 0xff;
    }
  }
  return bytes.subarray(0, length);
}

function fromLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

interface Codec {
  encode(text: string): Uint8Array;
  decode(bytes: Uint8Array): string;
}

const UTF8: Codec = { encode: (text) => new Uint8Array(host.encode(text)), decode: (bytes) => host.decode(bytes) };
const CODECS = {
  utf8: UTF8,
  "utf-8": UTF8,
  latin1: { encode: fromLatin1, decode: (bytes) => host.latin1(bytes) },
  hex: { encode: fromHex, decode: toHex },
  base64: { encode: fromBase64, decode: toBase64 },
  base64url: {
    encode: fromBase64,
    decode: (bytes) => toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, ""),
  },
} as const satisfies Record<string, Codec>;

export type Encoding = keyof typeof CODECS;

const encode = (text: string, encoding: Encoding = "utf8") => lookUp<Codec>("Buffer", CODECS, encoding).encode(text);
const decode = (bytes: Uint8Array, encoding: Encoding = "utf8") =>
  lookUp<Codec>("Buffer", CODECS, encoding).decode(bytes);

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the methods are defined below
export class Buffer extends Uint8Array {
  static override from(text: string, encoding?: Encoding): Buffer;
  static override from(memory: ArrayBufferLike, offset?: number, length?: number): Buffer;
  static override from(bytes: ArrayLike<number> | Iterable<number>): Buffer;
  static override from(given: unknown, encodingOrOffset?: Encoding | number, length?: number): Buffer {
    if (typeof given === "string") return viewOf(encode(given, encodingOrOffset as Encoding | undefined));
    if (given instanceof ArrayBuffer) {
      const offset = (encodingOrOffset as number | undefined) ?? 0;
      return new Buffer(given, offset, length ?? given.byteLength - offset);
    }
    return viewOf(new Uint8Array(given as ArrayLike<number>));
  }

  static alloc(length: number, fill?: number | Uint8Array): Buffer {
    const buffer = new Buffer(length);
    if (typeof fill === "number") buffer.fill(fill);
    else if (fill !== undefined) for (let i = 0; i < length; i++) buffer[i] = fill[i % fill.length]!;
    return buffer;
  }

  static allocUnsafe(length: number): Buffer {
    return new Buffer(length);
  }

  static concat(pieces: readonly Uint8Array[], length = pieces.reduce((sum, piece) => sum + piece.length, 0)): Buffer {
    const whole = new Buffer(length);
    let at = 0;
    for (const piece of pieces) {
      const fits = piece.length <= length - at ? piece : piece.subarray(0, length - at);
      whole.set(fits, at);
      at += fits.length;
    }
    return whole;
  }

  static byteLength(given: string | ArrayBufferView, encoding?: Encoding): number {
    return typeof given === "string" ? encode(given, encoding).length : given.byteLength;
  }

  static isBuffer(given: unknown): given is Buffer {
    return given instanceof Buffer;
  }

  static compare(a: Uint8Array, b: Uint8Array): number {
    const length = Math.min(a.length, b.length);
    for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
    return Math.sign(a.length - b.length);
  }

  /** A view, as Node's is. */
  override slice(start?: number, end?: number): this {
    return this.subarray(start, end) as this;
  }

  override toString(encoding?: Encoding, start = 0, end = this.length): string {
    const part = start === 0 && end >= this.length ? this : this.subarray(Math.max(0, start), Math.max(0, end));
    return decode(part, encoding);
  }

  write(text: string, at?: number | Encoding, length?: number | Encoding, encoding?: Encoding): number {
    const offset = typeof at === "number" ? at : 0;
    const room = Math.min(typeof length === "number" ? length : Number.POSITIVE_INFINITY, this.length - offset);
    const named = encoding ?? (typeof length === "string" ? length : typeof at === "string" ? at : "utf8");
    if (lookUp<Codec>("Buffer", CODECS, named) === UTF8) return host.encodeInto(text, this, offset, offset + room);
    const bytes = encode(text, named).subarray(0, room);
    this.set(bytes, offset);
    return bytes.length;
  }

  equals(other: Uint8Array): boolean {
    return this.length === other.length && Buffer.compare(this, other) === 0;
  }

  compare(other: Uint8Array): number {
    return Buffer.compare(this, other);
  }

  copy(target: Uint8Array, at = 0, start = 0, end = this.length): number {
    const part = this.subarray(start, Math.min(end, start + target.length - at));
    target.set(part, at);
    return part.length;
  }

  override indexOf(wanted: number | string | Uint8Array, from = 0): number {
    if (typeof wanted === "number") return super.indexOf(wanted, from);
    const bytes = typeof wanted === "string" ? encode(wanted) : wanted;
    if (bytes.length === 0) return from;
    for (let at = super.indexOf(bytes[0]!, from); at !== -1; at = super.indexOf(bytes[0]!, at + 1)) {
      let i = 1;
      while (i < bytes.length && this[at + i] === bytes[i]) i++;
      if (i === bytes.length) return at;
    }
    return -1;
  }

  override includes(wanted: number | string | Uint8Array, from = 0): boolean {
    return this.indexOf(wanted, from) !== -1;
  }

  toJSON(): { type: "Buffer"; data: number[] } {
    return { type: "Buffer", data: [...this] };
  }
}

/** The names of Node's for DataView's numbers. */
const NUMBERS = { Int8: 1, Uint8: 1, Int16: 2, Uint16: 2, Int32: 4, Uint32: 4, BigInt64: 8, BigUint64: 8 } as const;

type Get = (at: number, little: boolean) => number;
type Set = (at: number, value: number, little: boolean) => void;

type Name<Type extends string> = Type extends `${infer Sign}Uint${infer Bits}` ? `${Sign}UInt${Bits}` : Type;
type Order<Type extends keyof typeof NUMBERS> = (typeof NUMBERS)[Type] extends 1 ? "" : "LE" | "BE";
type Value<Type> = Type extends `Big${string}` ? bigint : number;

/** readUInt32LE and such. */
type Readers = {
  [Type in keyof typeof NUMBERS as `read${Name<Type>}${Order<Type>}`]: (at?: number) => Value<Type>;
};
type Writers = {
  [Type in keyof typeof NUMBERS as `write${Name<Type>}${Order<Type>}`]: (value: Value<Type>, at?: number) => number;
};
export interface Buffer extends Readers, Writers {
  subarray(start?: number, end?: number): Buffer;
}

for (const [type, bytes] of Object.entries(NUMBERS)) {
  const view = DataView.prototype as unknown as Record<`get${string}`, Get> & Record<`set${string}`, Set>;
  const name = type.replace("Uint", "UInt");
  for (const order of bytes === 1 ? [""] : ["LE", "BE"]) {
    const little = order === "LE";
    Object.defineProperty(Buffer.prototype, `read${name}${order}`, {
      value(this: Buffer, at = 0) {
        return view[`get${type}`]!.call(new DataView(this.buffer, this.byteOffset, this.length), at, little);
      },
    });
    Object.defineProperty(Buffer.prototype, `write${name}${order}`, {
      value(this: Buffer, value: number, at = 0) {
        view[`set${type}`]!.call(new DataView(this.buffer, this.byteOffset, this.length), at, value, little);
        return at + bytes;
      },
    });
  }
}

/** The same memory as a Buffer. */
export function viewOf(bytes: ArrayBuffer | ArrayBufferView): Buffer {
  const { buffer, byteOffset, byteLength } = bytesOf(bytes);
  return new Buffer(buffer as ArrayBuffer, byteOffset, byteLength);
}
