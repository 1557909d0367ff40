/** What the kernel has: base chains of all tables. */
import { attributesOf, type Message, NLM_F } from "../netlink/mod.ts";
import { encodeNft, FAMILY, NFGENMSG_BYTES } from "./messages.ts";
import { HOOK, NF_DROP, NFTA_CHAIN, NFTA_HOOK } from "./objects.ts";

export interface BaseChainInfo {
  /** As nft(8) names it; "" for one we do not know. */
  family: string;
  table: string;
  name: string;
  hook: number;
  /** What it does not decide, it drops. */
  drops: boolean;
}

/** For a dump, whose messages `parseBaseChain` reads. */
export function listChains(): Uint8Array {
  return encodeNft("getChain", "unspecified", [], NLM_F.DUMP);
}

/** Undefined for a chain that packets do not come to by themselves. @throws LighterError ("kernel", EBADMSG) */
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

/** Of the families that see packets of IP between interfaces. */
export function isForwardDrop({ family, hook, drops }: BaseChainInfo): boolean {
  return drops && hook === HOOK.forward && ["inet", "ip", "ip6"].includes(family);
}
