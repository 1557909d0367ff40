/** Recognises the kernel's announcements about one table. */
import { attributesOf, type Message } from "../netlink/mod.ts";
import { FAMILY, NFGENMSG_BYTES, NFT_MESSAGE, nftMessageOf, type Table } from "./messages.ts";

/** The multicast group for changes of nf_tables. */
export const NFNLGRP_NFTABLES = 7;
/** The attribute that names the table, in every message about a table or its content. */
export const NFTA_TABLE = 1;

/** Whether the kernel announces a change in this table. Elements that a rule adds to a set are announced as well. */
export function isAboutTable(message: Message, table: Table): boolean {
  const operation = nftMessageOf(message.type);
  if (operation === undefined || operation === NFT_MESSAGE.newGeneration) return false;
  if (message.payload[0] !== FAMILY[table.family]) return false;
  return attributesOf(message, NFGENMSG_BYTES).text(NFTA_TABLE) === table.name;
}
