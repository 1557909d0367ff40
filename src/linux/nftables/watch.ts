import { attributesOf, type Message } from "../netlink/mod.ts";
import { FAMILY, NFGENMSG_BYTES, NFT_MESSAGE, nftMessageOf, type Table } from "./messages.ts";

/** Of the netlink protocol's groups: changes of nf_tables. */
export const NFNLGRP_NFTABLES = 7;
/** In every message about a table or something in it. */
export const NFTA_TABLE = 1;

/** True for what the kernel tells of a change in this table. Elements of sets that a rule adds by itself are told as well. */
export function isAboutTable(message: Message, table: Table): boolean {
  const operation = nftMessageOf(message.type);
  if (operation === undefined || operation === NFT_MESSAGE.newGeneration) return false;
  if (message.payload[0] !== FAMILY[table.family]) return false;
  return attributesOf(message, NFGENMSG_BYTES).text(NFTA_TABLE) === table.name;
}
