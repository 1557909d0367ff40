/**
 * Attributes of netlink messages, written and read.
 *
 *   | u16 length, of header and value | u16 type, NLA_F_NESTED 0x8000 | value | zeros up to a multiple of 4 |
 *
 * Numbers are the host's (little-endian), or big-endian where a subsystem says so (nf_tables).
 * Source: Linux include/uapi/linux/netlink.h, Documentation/userspace-api/netlink/intro.rst.
 */
import { assert } from "../../base/assert.ts";
import { text, utf8 } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";

export interface Attribute {
  type: number;
  /** Raw bytes, or attributes nested in this one. */
  value: Uint8Array | readonly Attribute[];
  /** A struct before the nested attributes; its length is a multiple of 4. */
  header?: Uint8Array;
}

const HEADER_BYTES = 4;
/** The length is a u16. A longer list must go in several messages. */
const ATTRIBUTE_MAX_BYTES = 0xffff;
const NLA_F_NESTED = 0x8000;
/** The type's bits, without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const TYPE_MASK = 0x3fff;

function numeric(bytes: number, set: (view: DataView) => void): Uint8Array {
  const value = new Uint8Array(bytes);
  set(new DataView(value.buffer));
  return value;
}

/** Functions that make attributes. `be` is big-endian. */
export const attr = {
  u8: (type: number, value: number): Attribute => ({ type, value: Uint8Array.of(value) }),
  u16: (type: number, value: number): Attribute => ({
    type,
    value: numeric(2, (view) => view.setUint16(0, value, true)),
  }),
  u32: (type: number, value: number): Attribute => ({
    type,
    value: numeric(4, (view) => view.setUint32(0, value, true)),
  }),
  u64: (type: number, value: bigint): Attribute => ({
    type,
    value: numeric(8, (view) => view.setBigUint64(0, value, true)),
  }),
  be16: (type: number, value: number): Attribute => ({ type, value: numeric(2, (view) => view.setUint16(0, value)) }),
  be32: (type: number, value: number): Attribute => ({ type, value: numeric(4, (view) => view.setUint32(0, value)) }),
  be64: (type: number, value: bigint): Attribute => ({
    type,
    value: numeric(8, (view) => view.setBigUint64(0, value)),
  }),
  /** A string with its NUL. */
  text: (type: number, value: string): Attribute => ({ type, value: utf8(`${value}\0`) }),
  bytes: (type: number, value: Uint8Array): Attribute => ({ type, value }),
  /** A flag, which is set by being there. */
  flag: (type: number): Attribute => ({ type, value: new Uint8Array(0) }),
  nested: (type: number, value: readonly Attribute[]): Attribute => ({ type, value }),
  behind: (type: number, header: Uint8Array, value: readonly Attribute[]): Attribute => ({ type, value, header }),
};

export function align4(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** The bytes of an attribute with its header, without the padding after it. */
function attributeBytes({ value, header }: Attribute): number {
  const bytes = value instanceof Uint8Array ? value.length : attributesBytes(value);
  return HEADER_BYTES + (header?.length ?? 0) + bytes;
}

export function attributesBytes(attributes: readonly Attribute[]): number {
  return attributes.reduce((sum, attribute) => sum + align4(attributeBytes(attribute)), 0);
}

/** Writes attributes into zeroed bytes and returns the offset after them. `places` gets the offset of each one's value. */
export function writeAttributes(
  into: DataView<ArrayBuffer>,
  at: number,
  attributes: readonly Attribute[],
  places?: Map<Attribute, number>,
): number {
  let end = at;
  for (const attribute of attributes) {
    const { type, value, header } = attribute;
    const start = end;
    const put = (bytes: Uint8Array) => {
      new Uint8Array(into.buffer, into.byteOffset).set(bytes, end);
      end += bytes.length;
    };
    end += HEADER_BYTES;
    places?.set(attribute, end);
    if (header !== undefined) put(header);
    if (value instanceof Uint8Array) put(value);
    else end = writeAttributes(into, end, value, places);
    assert(end - start <= ATTRIBUTE_MAX_BYTES, `attribute ${type} has ${end - start} bytes`);
    into.setUint16(start, end - start, true);
    const isNested = !(value instanceof Uint8Array) && header === undefined;
    into.setUint16(start + 2, isNested ? type | NLA_F_NESTED : type, true);
    end = align4(end);
  }
  return end;
}

export function brokenMessage(what: string): LighterError {
  return new LighterError("kernel", `a netlink message ${what}`, { errno: "EBADMSG" });
}

/** A received list of attributes. Nested lists are read when they are asked for. */
export class Attributes {
  readonly entries: readonly { type: number; value: Uint8Array }[];

  /** @throws LighterError ("kernel", EBADMSG) for bytes that are no list of attributes */
  constructor(bytes: Uint8Array) {
    const entries: { type: number; value: Uint8Array }[] = [];
    const view = viewOf(bytes);
    for (let at = 0; at < bytes.length; ) {
      if (bytes.length - at < HEADER_BYTES) throw brokenMessage("ends within an attribute's header");
      const length = view.getUint16(at, true);
      const type = view.getUint16(at + 2, true) & TYPE_MASK;
      if (length < HEADER_BYTES || length > bytes.length - at)
        throw brokenMessage(`has an attribute ${type} of ${length} bytes in ${bytes.length - at}`);
      entries.push({ type, value: bytes.subarray(at + HEADER_BYTES, at + length) });
      at += align4(length);
    }
    this.entries = entries;
  }

  /** The value of the last attribute of this type, as the kernel's own parser takes it. */
  bytes(type: number): Uint8Array | undefined {
    return this.entries.findLast((entry) => entry.type === type)?.value;
  }

  #number<T>(type: number, size: number, get: (view: DataView) => T): T | undefined {
    const value = this.bytes(type);
    if (value === undefined) return undefined;
    if (value.length !== size)
      throw brokenMessage(`has ${value.length} bytes in attribute ${type}, which takes ${size}`);
    return get(viewOf(value));
  }

  has(type: number): boolean {
    return this.bytes(type) !== undefined;
  }

  u8(type: number): number | undefined {
    return this.#number(type, 1, (view) => view.getUint8(0));
  }

  u16(type: number): number | undefined {
    return this.#number(type, 2, (view) => view.getUint16(0, true));
  }

  u32(type: number): number | undefined {
    return this.#number(type, 4, (view) => view.getUint32(0, true));
  }

  u64(type: number): bigint | undefined {
    return this.#number(type, 8, (view) => view.getBigUint64(0, true));
  }

  be16(type: number): number | undefined {
    return this.#number(type, 2, (view) => view.getUint16(0));
  }

  be32(type: number): number | undefined {
    return this.#number(type, 4, (view) => view.getUint32(0));
  }

  be64(type: number): bigint | undefined {
    return this.#number(type, 8, (view) => view.getBigUint64(0));
  }

  /** The text up to its NUL. */
  text(type: number): string | undefined {
    const value = this.bytes(type);
    if (value === undefined) return undefined;
    const end = value.indexOf(0);
    return text(end < 0 ? value : value.subarray(0, end));
  }

  nested(type: number): Attributes | undefined {
    const value = this.bytes(type);
    return value === undefined ? undefined : new Attributes(value);
  }

  /** The attributes in a list, whose entries all have the same type or one without meaning. */
  list(type: number): Attributes[] {
    return (this.nested(type)?.entries ?? []).map(({ value }) => new Attributes(value));
  }
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
