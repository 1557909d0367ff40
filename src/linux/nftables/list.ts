/** Lists the base chains of all tables. */
import { attributesOf, type Message, NLM_F } from "../netlink/mod.ts";
import { encodeNft, FAMILY, NFGENMSG_BYTES } from "./messages.ts";
import { HOOK, NF_DROP, NFTA_CHAIN, NFTA_HOOK } from "./objects.ts";

export interface BaseChainInfo {
  /** The family as nft(8) names it; "" for one we do not know. */
  family: string;
  table: string;
  name: string;
  hook: number;
  /** True if it drops what it does not decide. */
  drops: boolean;
}

/** Asks for all chains; `parseBaseChain` reads the answers. */
export function listChains(): Uint8Array {
  return encodeNft("getChain", "unspecified", [], NLM_F.DUMP);
}

/** Parses a chain; undefined for one that packets reach only from rules. @throws LighterError ("kernel", EBADMSG) */
export function parseBaseChain(message: Message): BaseChainInfo | undefined {
  const attributes = attributesOf(message, NFGENMSG_BYTES);
  const hook = attributes.nested(NFTA_CHAIN.hook)?.be32(NFTA_HOOK.number);
  if (hook === undefined) return undefined;
  const [family = ""] = Object.entries(FAMILY).find(([, number]) => number === message.payload[0]) ?? [];
  return {
    family,
    table: attributes.text(NFTA_CHAIN.table) ?? "",
    name: attributes.text(NFTA_CHAIN.name) ?? "",
    hook,
    drops: attributes.be32(NFTA_CHAIN.policy) === NF_DROP,
  };
}

/** Whether a chain drops IP packets between interfaces by default. */
export function isForwardDrop({ family, hook, drops }: BaseChainInfo): boolean {
  return drops && hook === HOOK.forward && ["inet", "ip", "ip6"].includes(family);
}
