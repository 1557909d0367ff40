/** Values in registers, sets and maps: fields in a row, each padded to a multiple of 4 bytes. */
import { assert } from "../../base/assert.ts";
import { utf8 } from "../../base/bytes.ts";
import type { Attribute } from "../netlink/mod.ts";
import { attr } from "../netlink/mod.ts";

export const NFTA_LIST_ELEM = 1;
const NFTA_DATA_VALUE = 1;
/** IFNAMSIZ, which includes the NUL. */
const INTERFACE_NAME_BYTES = 16;

/**
 * Types of fields: a length, and nft(8)'s own number, which the kernel stores without looking at it.
 * Source: nftables include/datatype.h.
 */
export const DATA_TYPE = {
  ipv4_addr: { id: 7, bytes: 4 },
  ipv6_addr: { id: 8, bytes: 16 },
  inet_proto: { id: 12, bytes: 1 },
  inet_service: { id: 13, bytes: 2 },
  ifname: { id: 41, bytes: INTERFACE_NAME_BYTES },
} as const;
export type DataType = keyof typeof DATA_TYPE;

export function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** The size of a value of these fields. A single field is not padded. */
export function valueBytes(types: readonly DataType[]): number {
  const sizes = types.map((type) => DATA_TYPE[type].bytes);
  return sizes.length === 1 ? sizes[0]! : sizes.reduce((sum, bytes) => sum + padded(bytes), 0);
}

/** The number for several types: six bits each. */
export function typeNumber(types: readonly DataType[]): number {
  return types.reduce((number, type) => (number << 6) | DATA_TYPE[type].id, 0);
}

/** Joins fields into a value; a single one stays as it is. */
export function joinFields(fields: readonly Uint8Array[]): Uint8Array {
  if (fields.length === 1) return fields[0]!;
  const value = new Uint8Array(fields.reduce((sum, field) => sum + padded(field.length), 0));
  let at = 0;
  for (const field of fields) {
    value.set(field, at);
    at += padded(field.length);
  }
  return value;
}

export function dataValue(type: number, value: Uint8Array): Attribute {
  return attr.nested(type, [attr.bytes(NFTA_DATA_VALUE, value)]);
}

/** A u32 in the form in which `meta`, `ct` and `fib` load it. */
export function hostU32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** A port in the form it has in headers. */
export function portNumber(port: number): Uint8Array<ArrayBuffer> {
  assert(Number.isInteger(port) && port >= 0 && port <= 0xffff, `${port} is not a port`);
  return Uint8Array.of(port >> 8, port & 0xff);
}

/** An interface's name in the form in which `meta` loads it: 16 bytes. */
export function interfaceName(name: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(INTERFACE_NAME_BYTES);
  const encoded = utf8(name);
  assert(encoded.length < INTERFACE_NAME_BYTES, `interface name "${name}" is too long`);
  bytes.set(encoded);
  return bytes;
}
