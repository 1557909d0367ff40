/** Messages that make and remove tables, chains and rules. */
import type { Attribute } from "../netlink/mod.ts";
import { attr, NLM_F } from "../netlink/mod.ts";
import { encodeNft, type Table } from "./messages.ts";

const NFTA_TABLE_NAME = 1;
const NFTA_TABLE_FLAGS = 2;

export const NFTA_CHAIN = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const;
export const NFTA_HOOK = { number: 1, priority: 2 } as const;
export const NF_DROP = 0;
const NF_ACCEPT = 1;

const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;

/** NF_INET_*: the points on a packet's way where chains can be. */
export const HOOK = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

/** Priorities: the chains of one hook run in this order, lowest first. Source: nft(8), "Standard priority names". */
export const PRIORITY = { raw: -300, dstnat: -100, filter: 0, srcnat: 100 } as const;

/** A chain that packets reach by themselves. Packets that it does not decide on pass, to the other tables' chains. */
export interface BaseChain {
  type: "filter" | "nat";
  hook: keyof typeof HOOK;
  priority: number;
}

/** Makes a table, which may exist already. */
export function newTable(table: Table): Uint8Array {
  const attributes = [attr.text(NFTA_TABLE_NAME, table.name), attr.be32(NFTA_TABLE_FLAGS, 0)];
  return encodeNft("newTable", table.family, attributes, NLM_F.CREATE);
}

/** Removes a table with all that is in it; ENOENT if it does not exist. */
/** Asks for a table. The kernel answers with it, or ENOENT. */
export function getTable(table: Table): Uint8Array {
  return encodeNft("getTable", table.family, [attr.text(NFTA_TABLE_NAME, table.name)], NLM_F.ACK);
}

export function deleteTable(table: Table): Uint8Array {
  return encodeNft("deleteTable", table.family, [attr.text(NFTA_TABLE_NAME, table.name)]);
}

/** Makes a chain; without `base`, one that rules jump to. */
export function newChain(table: Table, name: string, base?: BaseChain): Uint8Array {
  const attributes = [attr.text(NFTA_CHAIN.table, table.name), attr.text(NFTA_CHAIN.name, name)];
  if (base !== undefined)
    attributes.push(
      attr.nested(NFTA_CHAIN.hook, [
        attr.be32(NFTA_HOOK.number, HOOK[base.hook]),
        attr.be32(NFTA_HOOK.priority, base.priority >>> 0),
      ]),
      attr.be32(NFTA_CHAIN.policy, NF_ACCEPT),
      attr.text(NFTA_CHAIN.type, base.type),
    );
  return encodeNft("newChain", table.family, attributes, NLM_F.CREATE);
}

/** Adds a rule at the end of the chain; the functions of expressions.ts make its `expressions`. */
export function newRule(table: Table, chain: string, expressions: readonly Attribute[]): Uint8Array {
  const attributes = [
    attr.text(NFTA_RULE_TABLE, table.name),
    attr.text(NFTA_RULE_CHAIN, chain),
    attr.nested(NFTA_RULE_EXPRESSIONS, expressions),
  ];
  return encodeNft("newRule", table.family, attributes, NLM_F.CREATE | NLM_F.APPEND);
}
