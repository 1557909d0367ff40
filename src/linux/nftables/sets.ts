/** Messages that make sets and maps, and put elements into them. */
import { assert } from "../../base/assert.ts";
import type { Attribute } from "../netlink/mod.ts";
import { attr, NLM_F } from "../netlink/mod.ts";
import { encodeNft, type Table } from "./messages.ts";
import { DATA_TYPE, type DataType, dataValue, joinFields, NFTA_LIST_ELEM, typeNumber, valueBytes } from "./values.ts";

const NFTA_SET = { table: 1, name: 2, flags: 3, keyType: 4, keyLength: 5, dataType: 6, dataLength: 7 } as const;
const NFTA_SET_DESC = 9;
const NFTA_SET_ID = 10;
const NFTA_SET_USERDATA = 13;
/**
 * A note for nft(8) that is kept with a set (u8 type, u8 length, value): the key is in the host's byte order, as names of
 * interfaces are. Without it, nft shows them as "". Source: libnftnl include/udata.h, NFTNL_UDATA_SET_KEYBYTEORDER.
 */
const KEY_IN_HOST_ORDER = Uint8Array.of(0, 4, 1, 0, 0, 0);
const NFTA_SET_DESC_CONCAT = 2;
const NFTA_SET_FIELD_LEN = 1;
const NFT_SET = { interval: 0x4, map: 0x8, concatenation: 0x80 } as const;

const NFTA_ELEMENTS = { table: 1, set: 2, list: 3 } as const;
const NFTA_ELEMENT = { key: 1, data: 2, flags: 3, keyEnd: 10 } as const;
const NFT_SET_ELEM_INTERVAL_END = 1;
/**
 * How many elements go into one message: an attribute, also their list, has at most 64 KiB; one of our elements takes less than
 * 112 bytes.
 */
const ELEMENTS_PER_MESSAGE = 512;

export interface NftSet {
  name: string;
  /** The types of the key's fields. */
  key: readonly DataType[];
  /** The types of the value's fields; with them the set is a map. */
  data?: readonly DataType[];
  /** True if keys are ranges, which must not overlap. */
  interval?: boolean;
}

/** An element. Its fields are bytes as `interfaceName`, `portNumber` and so on make them. */
export interface Element {
  key: readonly Uint8Array[];
  /** The last key of an interval, included in it. */
  last?: readonly Uint8Array[];
  data?: readonly Uint8Array[];
}

/** Makes a set; `id` must differ for each set of a batch. */
export function newSet(table: Table, set: NftSet, id: number): Uint8Array {
  const { name, key, data, interval = false } = set;
  const isRanges = interval && key.length > 1;
  const flags =
    (interval ? NFT_SET.interval : 0) | (data === undefined ? 0 : NFT_SET.map) | (isRanges ? NFT_SET.concatenation : 0);
  const attributes = [
    attr.text(NFTA_SET.table, table.name),
    attr.text(NFTA_SET.name, name),
    attr.be32(NFTA_SET.flags, flags),
    attr.be32(NFTA_SET.keyType, typeNumber(key)),
    attr.be32(NFTA_SET.keyLength, valueBytes(key)),
    attr.be32(NFTA_SET_ID, id),
  ];
  if (data !== undefined)
    attributes.push(attr.be32(NFTA_SET.dataType, typeNumber(data)), attr.be32(NFTA_SET.dataLength, valueBytes(data)));
  if (key.length === 1 && key[0] === "ifname") attributes.push(attr.bytes(NFTA_SET_USERDATA, KEY_IN_HOST_ORDER));
  // For ranges of several fields the kernel compares each field by itself, and has to know where they are.
  if (isRanges) attributes.push(attr.nested(NFTA_SET_DESC, [attr.nested(NFTA_SET_DESC_CONCAT, key.map(fieldLength))]));
  return encodeNft("newSet", table.family, attributes, NLM_F.CREATE);
}

function fieldLength(type: DataType): Attribute {
  return attr.nested(NFTA_LIST_ELEM, [attr.be32(NFTA_SET_FIELD_LEN, DATA_TYPE[type].bytes)]);
}

/** Adds elements; EEXIST for a key that has other data, ENOENT if the table or set does not exist. */
export function newElements(table: Table, set: NftSet, elements: readonly Element[]): Uint8Array[] {
  return elementMessages("newElements", table, set, elements);
}

/** Removes elements; ENOENT if one does not exist. */
export function deleteElements(table: Table, set: NftSet, elements: readonly Element[]): Uint8Array[] {
  return elementMessages("deleteElements", table, set, elements);
}

function elementMessages(
  message: "newElements" | "deleteElements",
  table: Table,
  set: NftSet,
  elements: readonly Element[],
): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < elements.length; at += ELEMENTS_PER_MESSAGE) {
    const list = elements.slice(at, at + ELEMENTS_PER_MESSAGE).flatMap((element) => encodeElement(set, element));
    const attributes = [
      attr.text(NFTA_ELEMENTS.table, table.name),
      attr.text(NFTA_ELEMENTS.set, set.name),
      attr.nested(NFTA_ELEMENTS.list, list),
    ];
    messages.push(encodeNft(message, table.family, attributes, message === "newElements" ? NLM_F.CREATE : 0));
  }
  return messages;
}

/** Encodes an element. An interval of one field is two elements: its first key, and the key after its last, marked as an end. */
function encodeElement(set: NftSet, { key, last, data }: Element): Attribute[] {
  assert(
    (last !== undefined) === (set.interval === true),
    `set ${set.name} takes ${set.interval ? "" : "no "}intervals`,
  );
  const parts = [dataValue(NFTA_ELEMENT.key, joinFields(key))];
  if (data !== undefined) parts.push(dataValue(NFTA_ELEMENT.data, joinFields(data)));
  if (last === undefined) return [attr.nested(NFTA_LIST_ELEM, parts)];
  if (key.length > 1) {
    parts.push(dataValue(NFTA_ELEMENT.keyEnd, joinFields(last)));
    return [attr.nested(NFTA_LIST_ELEM, parts)];
  }
  const begin = attr.nested(NFTA_LIST_ELEM, parts);
  const behind = successor(last[0]!);
  if (behind === undefined) return [begin];
  const end = [dataValue(NFTA_ELEMENT.key, behind), attr.be32(NFTA_ELEMENT.flags, NFT_SET_ELEM_INTERVAL_END)];
  return [begin, attr.nested(NFTA_LIST_ELEM, end)];
}

/** The next number of the same length; undefined if there is none. */
function successor(value: Uint8Array): Uint8Array | undefined {
  const next = new Uint8Array(value);
  for (let at = next.length - 1; at >= 0; at--) {
    next[at] = (next[at]! + 1) & 0xff;
    if (next[at] !== 0) return next;
  }
  return undefined;
}
