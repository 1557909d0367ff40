/** nf_tables: messages that make and watch tables, chains, rules and sets. */
export {
  CT_STATE,
  CT_STATUS_DNAT,
  compare,
  connection,
  destinationType,
  immediate,
  jump,
  lookup,
  mask,
  masquerade,
  meta,
  nat,
  payload,
  RTN_LOCAL,
  verdict,
} from "./expressions.ts";
export type { BaseChainInfo } from "./list.ts";
export { isForwardDrop, listChains, parseBaseChain } from "./list.ts";
export type { Family, Table } from "./messages.ts";
export { encodeBatch, FAMILY } from "./messages.ts";
export type { BaseChain } from "./objects.ts";
export { deleteTable, getTable, newChain, newRule, newTable, PRIORITY } from "./objects.ts";
export { resolverRedirect } from "./resolver-redirect.ts";
export type { Element, NftSet } from "./sets.ts";
export { deleteElements, newElements, newSet } from "./sets.ts";
export type { DataType } from "./values.ts";
export { hostU32, interfaceName, portNumber } from "./values.ts";
export { isAboutTable, NFNLGRP_NFTABLES } from "./watch.ts";
