/** Protocol Buffers (proto3): messages are encoded and decoded by tables of their fields. Source: protobuf.dev/programming-guides/encoding. */
import { LighterError } from "../base/errors.ts";
import { PROTOBUF_MAX_VALUES } from "../base/limits.ts";

/** Wire types. */
export const [VARINT, FIXED64, LENGTH, FIXED32] = [0, 1, 2, 5];

/** How one value is written and read. `T` is the value in memory, `Input` what `encode` takes for it. */
interface Kind<T, Input = T> {
  wire: typeof VARINT | typeof LENGTH | typeof FIXED64;
  /** Proto3 leaves a field with this value out. */
  isDefault(value: Input): boolean;
  initial(): T;
  write(writer: Writer, value: Input): void;
  read(reader: Reader): T;
}

/** A field of a message: its number, and how it is written, read, and put together when it occurs more than once. */
export interface Field<T, Input = T> {
  number: number;
  initial(): T;
  write(writer: Writer, value: Input): void;
  /** The field's value after one more occurrence. */
  read(reader: Reader, wire: number, before: T): T;
}

// biome-ignore lint/suspicious/noExplicitAny: a table has fields of all types
type Table = Record<string, Field<any, any>>;
type Decoded<F extends Table> = { [K in keyof F]: F[K] extends Field<infer T, infer _> ? T : never };
type Input<F extends Table> = { [K in keyof F]?: F[K] extends Field<infer _, infer I> ? I | undefined : never };

/** What `decode` of a message type returns. */
export type MessageOf<M> = M extends MessageType<infer F> ? Decoded<F> : never;
/** What `encode` of a message type takes: each field may be missing. */
export type DraftOf<M> = M extends MessageType<infer F> ? Input<F> : never;

/** A message's encoding. Fields are written in the order of the table. */
export class MessageType<F extends Table> {
  readonly #fields: readonly [name: string, field: Table[string]][];
  readonly #byNumber = new Map<number, [name: string, field: Table[string]]>();

  constructor(fields: F) {
    this.#fields = Object.entries(fields);
    for (const row of this.#fields) this.#byNumber.set(row[1].number, row);
  }

  encode(value: Input<F>): Uint8Array<ArrayBuffer> {
    const writer = new Writer();
    this.write(writer, value);
    return writer.finish();
  }

  /** @throws LighterError "invalid" for bytes that are no such message, or hold more values than `PROTOBUF_MAX_VALUES` */
  decode(bytes: Uint8Array): Decoded<F> {
    return this.read(new Reader(bytes, 0, bytes.length, { values: PROTOBUF_MAX_VALUES }));
  }

  write(writer: Writer, value: Input<F>): void {
    for (const [name, field] of this.#fields) {
      const given = value[name];
      if (given !== undefined) field.write(writer, given);
    }
  }

  /** `value`: what the message is merged into. */
  read(reader: Reader, value: Record<string, unknown> = this.initial()): Decoded<F> {
    while (!reader.isAtEnd) {
      const tag = reader.tag();
      const row = this.#byNumber.get(tag >>> 3);
      if (row === undefined) reader.skip(tag & 7);
      else value[row[0]] = row[1].read(reader, tag & 7, value[row[0]]);
    }
    return value as Decoded<F>;
  }

  initial(): Decoded<F> {
    const value: Record<string, unknown> = {};
    for (const [name, field] of this.#fields) value[name] = field.initial();
    return value as Decoded<F>;
  }
}

const STRING: Kind<string> = {
  wire: LENGTH,
  isDefault: (value) => value === "",
  initial: () => "",
  write: (writer, value) => writer.bytes(Buffer.from(value)),
  read: (reader) => reader.text(),
};
const NO_BYTES = new Uint8Array();
const BYTES: Kind<Uint8Array> = {
  wire: LENGTH,
  isDefault: (value) => value.length === 0,
  initial: () => NO_BYTES,
  write: (writer, value) => writer.bytes(value),
  read: (reader) => reader.bytes(),
};
const BOOLEAN: Kind<boolean> = {
  wire: VARINT,
  isDefault: (value) => !value,
  initial: () => false,
  write: (writer, value) => writer.varint(value ? 1n : 0n),
  read: (reader) => reader.varint() !== 0n,
};
const NUMBER: Kind<number> = {
  wire: VARINT,
  isDefault: (value) => value === 0,
  initial: () => 0,
  write: (writer, value) => (value >= 0 && value < 2 ** 31 ? writer.small(value) : writer.varint(BigInt(value))),
  read: (reader) => reader.number(),
};
const DOUBLE: Kind<number> = {
  wire: FIXED64,
  isDefault: (value) => Object.is(value, 0),
  initial: () => 0,
  write: (writer, value) => writer.double(value),
  read: (reader) => reader.double(),
};
const BIGINT: Kind<bigint> = {
  wire: VARINT,
  isDefault: (value) => value === 0n,
  initial: () => 0n,
  write: (writer, value) => writer.varint(value),
  read: (reader) => BigInt.asIntN(64, reader.varint()),
};

const FIXED: Kind<bigint> = {
  wire: FIXED64,
  isDefault: (value) => value === 0n,
  initial: () => 0n,
  write: (writer, value) => writer.fixed64(value),
  read: (reader) => reader.fixed64(),
};
export const string = (number: number): Field<string> => singular(number, STRING);
export const bytes = (number: number): Field<Uint8Array> => singular(number, BYTES);
export const boolean = (number: number): Field<boolean> => singular(number, BOOLEAN);
/** An enum or integer whose values a double holds. Others are refused when read. */
export const integer = (number: number): Field<number> => singular(number, NUMBER);
/** Several of them, which writers pack into one field. */
export const integers = (number: number): Field<number[], readonly number[]> => {
  const single = repeated(number, NUMBER);
  const read = (reader: Reader, wire: number, before: number[]): number[] => {
    if (wire !== LENGTH) return single.read(reader, wire, before);
    for (const packed = reader.inner(); !packed.isAtEnd; ) before.push(packed.item());
    return before;
  };
  return { ...single, read };
};
/** A double. */
export const double = (number: number): Field<number> => singular(number, DOUBLE);
/** An int64. */
export const int64 = (number: number): Field<bigint> => singular(number, BIGINT);
export const fixed64 = (number: number): Field<bigint> => singular(number, FIXED);
/** Members of a "oneof": the one that is given is written whatever its value, and the others are undefined. */
export const oneOf = {
  string: (number: number) => given(number, STRING),
  boolean: (number: number) => given(number, BOOLEAN),
  int64: (number: number) => given(number, BIGINT),
  double: (number: number) => given(number, DOUBLE),
};
export const strings = (number: number): Field<string[], readonly string[]> => repeated(number, STRING);
export const byteStrings = (number: number): Field<Uint8Array[], readonly Uint8Array[]> => repeated(number, BYTES);

/** A message inside the message; undefined if it is not there. `type`: a function where the type is declared later. */
export function message<F extends Table>(
  number: number,
  type: MessageType<F>,
): Field<Decoded<F> | undefined, Input<F> | undefined> {
  const kind = messageKind(type);
  return {
    number,
    initial: () => undefined,
    write: (writer, value) => value !== undefined && writeValue(writer, number, kind, value),
    read: (reader, wire, before) => {
      checkWire(wire, LENGTH);
      return type.read(reader.inner(), before);
    },
  };
}

export const messages = <F extends Table>(number: number, type: MessageType<F>): Field<Decoded<F>[], Input<F>[]> =>
  repeated(number, messageKind(type)) as Field<Decoded<F>[], Input<F>[]>;

export const stringMap = (number: number): Field<Map<string, string>> => mapField(number, STRING);
export const bytesMap = (number: number): Field<Map<string, Uint8Array>> => mapField(number, BYTES);
export const messageMap = <F extends Table>(
  number: number,
  type: MessageType<F>,
): Field<Map<string, Decoded<F>>, ReadonlyMap<string, Input<F>>> => mapField(number, messageKind(type));

function messageKind<F extends Table>(type: MessageType<F>): Kind<Decoded<F>, Input<F>> {
  return {
    wire: LENGTH,
    isDefault: () => false,
    initial: () => type.initial(),
    write: (writer, value) => writer.delimited(() => type.write(writer, value)),
    read: (reader) => type.read(reader.inner()),
  };
}

function singular<T>(number: number, kind: Kind<T>): Field<T> {
  return {
    number,
    initial: kind.initial,
    write: (writer, value) => !kind.isDefault(value) && writeValue(writer, number, kind, value),
    read: (reader, wire) => readValue(reader, wire, kind),
  };
}

function given<T>(number: number, kind: Kind<T>): Field<T | undefined> {
  return {
    number,
    initial: () => undefined,
    write: (writer, value) => value !== undefined && writeValue(writer, number, kind, value),
    read: (reader, wire) => readValue(reader, wire, kind),
  };
}

function repeated<T, I>(number: number, kind: Kind<T, I>): Field<T[], readonly I[]> {
  return {
    number,
    initial: () => [],
    write: (writer, values) => {
      for (const value of values) writeValue(writer, number, kind, value);
    },
    read: (reader, wire, before) => {
      before.push(readValue(reader, wire, kind));
      return before;
    },
  };
}

/** A map with keys of text. Entries are written in the order of their keys, so that the bytes are always the same. */
function mapField<T, I>(number: number, kind: Kind<T, I>): Field<Map<string, T>, ReadonlyMap<string, I>> {
  return {
    number,
    initial: () => new Map(),
    write: (writer, map) => {
      for (const [key, value] of [...map].sort(([a], [b]) => (a < b ? -1 : 1))) {
        writer.tag(number, LENGTH);
        writer.delimited(() => {
          writeValue(writer, 1, STRING, key);
          writeValue(writer, 2, kind, value);
        });
      }
    },
    read: (reader, wire, before) => {
      checkWire(wire, LENGTH);
      const entry = reader.inner();
      let [key, value] = ["", undefined as T | undefined];
      while (!entry.isAtEnd) {
        const tag = entry.tag();
        if (tag >>> 3 === 1) key = readValue(entry, tag & 7, STRING);
        else if (tag >>> 3 === 2) value = readValue(entry, tag & 7, kind);
        else entry.skip(tag & 7);
      }
      return before.set(key, value ?? kind.initial());
    },
  };
}

function writeValue<T, I>(writer: Writer, number: number, kind: Kind<T, I>, value: I): void {
  writer.tag(number, kind.wire);
  kind.write(writer, value);
}

function readValue<T, I>(reader: Reader, wire: number, kind: Kind<T, I>): T {
  checkWire(wire, kind.wire);
  return kind.read(reader);
}

function checkWire(wire: number, expected: number): void {
  if (wire !== expected) throw malformed(`a field has wire type ${wire} in place of ${expected}`);
}

function malformed(why: string): LighterError {
  return new LighterError("invalid", `malformed protobuf message: ${why}`);
}

/** Writes the wire format: tags, numbers, and bytes with their lengths. */
export class Writer {
  #bytes = new Uint8Array(256);
  #length = 0;

  tag(number: number, wire: number): void {
    this.small((number << 3) | wire);
  }

  varint(value: bigint): void {
    let left = BigInt.asUintN(64, value);
    this.#reserve(10);
    for (; left > 0x7fn; left >>= 7n) this.#bytes[this.#length++] = Number(left & 0x7fn) | 0x80;
    this.#bytes[this.#length++] = Number(left);
  }

  fixed64(value: bigint): void {
    this.#reserve(8);
    for (let shift = 0n; shift < 64n; shift += 8n) this.#bytes[this.#length++] = Number((value >> shift) & 0xffn);
  }

  bytes(value: Uint8Array): void {
    this.small(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** Writes what `write` writes, with its length before it. */
  delimited(write: () => void): void {
    const start = this.#length;
    write();
    const length = this.#length - start;
    this.small(length); // makes room
    const size = this.#length - start - length;
    const prefix = this.#bytes.slice(this.#length - size, this.#length);
    this.#bytes.copyWithin(start + size, start, start + length);
    this.#bytes.set(prefix, start);
  }

  /** A varint below 2^31. */
  small(value: number): void {
    this.#reserve(5);
    let left = value;
    for (; left > 0x7f; left >>>= 7) this.#bytes[this.#length++] = (left & 0x7f) | 0x80;
    this.#bytes[this.#length++] = left;
  }

  double(value: number): void {
    this.#reserve(8);
    new DataView(this.#bytes.buffer).setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const bigger = new Uint8Array(Math.max(this.#length + length, this.#bytes.length * 2));
    bigger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bigger;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const VARINT_MAX_BYTES = 10;
/** The bytes of a number whose value a double holds. */
const LOW_BYTES = 7;
const MAX_SAFE_INTEGER = BigInt(Number.MAX_SAFE_INTEGER);

class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #left: { values: number };
  #at: number;
  /** Whether the last byte of a number that was read says that more come. */
  #isContinued = false;

  /** `left`: what the whole message may still hold, shared with the readers of inner messages. */
  constructor(bytes: Uint8Array, start: number, end: number, left: { values: number }) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#left = left;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#end;
  }

  /** A field's number, and in the last three bits its wire type. */
  tag(): number {
    if (--this.#left.values < 0) throw malformed(`it has more than ${PROTOBUF_MAX_VALUES} values`);
    const tag = this.#small();
    if (tag < 8) throw malformed("a field has the number 0");
    return tag;
  }

  /** A number of a packed field, each of which is a value. */
  item(): number {
    if (--this.#left.values < 0) throw malformed(`it has more than ${PROTOBUF_MAX_VALUES} values`);
    return this.number();
  }

  varint(): bigint {
    const low = this.#part(LOW_BYTES);
    return this.#isContinued ? this.#withHigh(low) : BigInt(low);
  }

  number(): number {
    const low = this.#part(LOW_BYTES);
    if (!this.#isContinued) return low;
    const value = BigInt.asIntN(64, this.#withHigh(low));
    // Bigints alone: the small engine takes any negative one for less than a number beyond 2^31.
    if (value > MAX_SAFE_INTEGER || value < -MAX_SAFE_INTEGER) throw malformed(`the number ${value} is out of range`);
    return Number(value);
  }

  fixed64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 64n; shift += 8n) value |= BigInt(this.#byte()) << shift;
    return value;
  }

  /** The number whose last bytes come now. */
  #withHigh(low: number): bigint {
    const high = this.#part(VARINT_MAX_BYTES - LOW_BYTES);
    if (this.#isContinued) throw malformed("a number has more than ten bytes");
    return BigInt.asUintN(64, (BigInt(high) << BigInt(7 * LOW_BYTES)) | BigInt(low));
  }

  /** Up to `byteCount` bytes of a number, seven bits each, the low ones first. */
  #part(byteCount: number): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < byteCount; count++, factor *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      this.#isContinued = byte >= 0x80;
      if (!this.#isContinued) break;
    }
    return value;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(this.#take(this.#small()), this.#at);
  }

  double(): number {
    const { buffer, byteOffset } = this.#bytes;
    return new DataView(buffer, byteOffset).getFloat64(this.#take(8), true);
  }

  text(): string {
    const value = this.bytes();
    try {
      return utf8.decode(value);
    } catch {
      throw malformed("a text is not UTF-8");
    }
  }

  /** A reader of the message that comes next. */
  inner(): Reader {
    return new Reader(this.#bytes, this.#take(this.#small()), this.#at, this.#left);
  }

  skip(wire: number): void {
    if (wire === VARINT) this.varint();
    else if (wire === LENGTH) this.#take(this.#small());
    else if (wire === FIXED32) this.#take(4);
    else if (wire === FIXED64) this.#take(8);
    else throw malformed(`a field has wire type ${wire}`);
  }

  /** Advances by `length` bytes, and returns where they start. */
  #take(length: number): number {
    const start = this.#at;
    if (length > this.#end - start) throw malformed("it ends in the middle of a field");
    this.#at += length;
    return start;
  }

  /** A length or tag, which are below 2^31. */
  #small(): number {
    let value = 0;
    for (let factor = 1; factor < 2 ** 35; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80 && value < 2 ** 31) return value;
    }
    throw malformed("a length or tag is too large");
  }

  #byte(): number {
    if (this.#at === this.#end) throw malformed("it ends in the middle of a field");
    return this.#bytes[this.#at++]!;
  }
}
