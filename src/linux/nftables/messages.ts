/**
 * Messages of nf_tables: a batch is done as a whole or not at all.
 *
 *   | netlink header | u8 family | u8 version 0 | be16 resource id | attributes |
 *
 * Numbers in attributes are big-endian. Source: Linux include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h, net/netfilter/nf_tables_api.c.
 */
import { assert } from "../../base/assert.ts";
import type { Attribute } from "../netlink/mod.ts";
import { encodeMessage, NLM_F } from "../netlink/mod.ts";

/** NFPROTO_*: the packets that a table sees. "inet" is both kinds of IP. */
export const FAMILY = { unspecified: 0, inet: 1, ip: 2, ip6: 10 } as const;
export type Family = keyof typeof FAMILY;

export interface Table {
  family: Family;
  name: string;
}

export const NFNL_SUBSYS_NFTABLES = 10;
/** The NFT_MSG_* that we use. */
export const NFT_MESSAGE = {
  ...{ newTable: 0, getTable: 1, deleteTable: 2, newChain: 3, getChain: 4, newRule: 6, newSet: 9 },
  ...{ newElements: 12, deleteElements: 14, newGeneration: 15 },
} as const;
type NftMessage = keyof typeof NFT_MESSAGE;

const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
/** The size of struct nfgenmsg. */
export const NFGENMSG_BYTES = 4;
const FLAGS_AT = 6;

/** The operation of a message's type; undefined if it is not of nf_tables. */
export function nftMessageOf(type: number): number | undefined {
  return type >> 8 === NFNL_SUBSYS_NFTABLES ? type & 0xff : undefined;
}

export function encodeNft(
  message: NftMessage,
  family: Family,
  attributes: readonly Attribute[],
  flags = 0,
): Uint8Array<ArrayBuffer> {
  const header = Uint8Array.of(FAMILY[family], 0, 0, 0);
  const type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MESSAGE[message];
  return encodeMessage({ type, flags, header, attributes });
}

/** Makes one change of several messages. The last one asks for an acknowledgement, so that silence is not taken for success. */
export function encodeBatch(messages: readonly Uint8Array[]): Uint8Array[] {
  const last = messages.at(-1);
  assert(last !== undefined, "a batch has no message");
  const acknowledged = new Uint8Array(last);
  acknowledged[FLAGS_AT]! |= NLM_F.ACK;
  return [batchMark(BATCH_BEGIN), ...messages.slice(0, -1), acknowledged, batchMark(BATCH_END)];
}

/** The message that begins or ends a batch. Its resource id is the subsystem that the batch is for. */
function batchMark(type: number): Uint8Array {
  return encodeMessage({ type, flags: 0, header: Uint8Array.of(0, 0, 0, NFNL_SUBSYS_NFTABLES) });
}
