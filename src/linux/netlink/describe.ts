/** Describes netlink messages in a program's listing. */
import { formatIpAddress } from "../../base/ip-address.ts";
import { NFNL_SUBSYS_NFTABLES } from "../nftables/messages.ts";
import { NFTA_TABLE } from "../nftables/watch.ts";
import { IFA } from "./addresses.ts";
import type { Attributes } from "./attributes.ts";
import { viewOf } from "./attributes.ts";
import {
  AF,
  formatMacAddress,
  IFF,
  IFLA,
  IFLA_BRPORT,
  IFLA_INFO,
  IFLA_IPVLAN,
  IFLA_MACVLAN_MODE,
  IPVLAN_FLAGS,
  IPVLAN_MODES,
  MACVLAN_MODES,
  RTM,
  VETH_INFO_PEER,
} from "./links.ts";
import type { Message } from "./messages.ts";
import { attributesOf, parseMessages } from "./messages.ts";
import { NDA } from "./neighbours.ts";
import { RTA } from "./routes.ts";

const RTM_NAMES = new Map<number, string>(Object.entries(RTM).map(([name, type]) => [type, name]));
const NFT_NAMES = [
  "NEWTABLE",
  "GETTABLE",
  "DELTABLE",
  "NEWCHAIN",
  "GETCHAIN",
  "DELCHAIN",
  "NEWRULE",
  "GETRULE",
  "DELRULE",
];
const NFTA_CHAIN_NAME = 3;

/**
 * Describes what messages ask for: "NEWLINK veth vethX -> bridge 7, peer eth0". `slotAt` returns the slot whose value is put at
 * an offset before they are sent.
 */
export function describeMessages(
  protocol: "route" | "netfilter",
  bytes: Uint8Array,
  slotAt: (offset: number) => string | undefined = () => undefined,
): string {
  let messages: Message[];
  try {
    messages = parseMessages(bytes);
  } catch {
    return `${bytes.length} bytes that are no messages`;
  }
  return messages.map((message) => describe(protocol, message, placesIn(bytes, slotAt))).join("; ");
}

/** Shows a u32: its value, or the slot that it will come from. */
type Number32 = (part: Uint8Array, at: number) => string;

function placesIn(bytes: Uint8Array, slotAt: (offset: number) => string | undefined): Number32 {
  return (part, at) => {
    const slot = slotAt(part.byteOffset - bytes.byteOffset + at);
    return slot === undefined ? String(viewOf(part).getUint32(at, true)) : `$${slot}`;
  };
}

function describe(protocol: "route" | "netfilter", message: Message, u32: Number32): string {
  try {
    return protocol === "route" ? describeRoute(message, u32) : describeNft(message);
  } catch {
    return `message ${message.type} of ${message.payload.length} bytes`;
  }
}

function describeRoute(message: Message, u32: Number32): string {
  const name = RTM_NAMES.get(message.type) ?? `message ${message.type}`;
  switch (message.type) {
    case RTM.NEWLINK:
    case RTM.SETLINK:
    case RTM.GETLINK:
    case RTM.DELLINK:
      return `${name} ${describeLink(message.payload, attributesOf(message, 16), u32)}`;
    case RTM.NEWADDR:
    case RTM.DELADDR: {
      const address = attributesOf(message, 8).bytes(IFA.LOCAL) ?? new Uint8Array(4);
      return `${name} ${formatIpAddress(address)}/${message.payload[1]} on ${u32(message.payload, 4)}`;
    }
    case RTM.NEWROUTE:
    case RTM.DELROUTE: {
      const attributes = attributesOf(message, 12);
      const destination = attributes.bytes(RTA.DST);
      const gateway = attributes.bytes(RTA.GATEWAY);
      const oif = attributes.bytes(RTA.OIF);
      const family = message.payload[0] === AF.INET6 ? " (IPv6)" : "";
      const to = destination ? `${formatIpAddress(destination)}/${message.payload[1]}` : `default${family}`;
      return `${name} ${to}${gateway ? ` via ${formatIpAddress(gateway)}` : ""}${oif ? ` on ${u32(oif, 0)}` : ""}`;
    }
    case RTM.NEWNEIGH: {
      const mac = attributesOf(message, 12).bytes(NDA.LLADDR) ?? new Uint8Array(0);
      return `${name} ${formatMacAddress(mac)} behind ${u32(message.payload, 4)}`;
    }
    default:
      return name;
  }
}

function describeLink(header: Uint8Array, attributes: Attributes, u32: Number32): string {
  const info = attributes.nested(IFLA.LINKINFO);
  const name = attributes.text(IFLA.IFNAME);
  const kind = info?.text(IFLA_INFO.KIND);
  const words = [...(kind ? [kind] : []), name ?? u32(header, 4)];
  const parts: string[] = [words.join(" ") + describePlace(attributes, u32)];
  const flags = viewOf(header);
  if (flags.getUint32(12, true) & IFF.UP) parts.push(flags.getUint32(8, true) & IFF.UP ? "up" : "down");
  if (attributes.has(IFLA.AF_SPEC)) parts.push("no address by itself");
  const data = info?.nested(IFLA_INFO.DATA);
  const peer = kind === "veth" ? data?.bytes(VETH_INFO_PEER) : undefined;
  if (peer) {
    const inner = attributesOf({ type: 0, flags: 0, sequence: 0, portId: 0, payload: peer }, 16);
    parts.push(`peer ${inner.text(IFLA.IFNAME)}${describePlace(inner, u32)}`);
  }
  const named = (names: Readonly<Record<string, number>>, value: number | undefined) => {
    if (value !== undefined) parts.push(Object.entries(names).find(([, each]) => each === value)?.[0] ?? `${value}`);
  };
  if (kind === "macvlan") named(MACVLAN_MODES, data?.u32(IFLA_MACVLAN_MODE));
  if (kind === "ipvlan") {
    named(IPVLAN_MODES, data?.u16(IFLA_IPVLAN.MODE));
    named(IPVLAN_FLAGS, data?.u16(IFLA_IPVLAN.FLAGS));
  }
  const port = info?.nested(IFLA_INFO.SLAVE_DATA);
  if (port) parts.push(...describePort(port));
  return parts.join(", ");
}

/** Describes where the link goes and what it gets. */
function describePlace(attributes: Attributes, u32: Number32): string {
  const words: string[] = [];
  const number = (type: number, word: string) => {
    const value = attributes.bytes(type);
    if (value) words.push(` ${word} ${u32(value, 0)}`);
  };
  if (attributes.u32(IFLA.MASTER) === 0) words.push(" -> no bridge");
  else number(IFLA.MASTER, "-> bridge");
  number(IFLA.LINK, "over");
  const mac = attributes.bytes(IFLA.ADDRESS);
  if (mac) words.push(` ${formatMacAddress(mac)}`);
  number(IFLA.MTU, "mtu");
  number(IFLA.NET_NS_PID, "in namespace of");
  number(IFLA.NET_NS_FD, "in namespace");
  return words.join("");
}

function describePort(port: Attributes): string[] {
  const words = [
    [IFLA_BRPORT.MODE, "hairpin"],
    [IFLA_BRPORT.LEARNING, "learning"],
    [IFLA_BRPORT.ISOLATED, "isolated"],
  ] as const;
  return words.flatMap(([type, word]) => {
    const value = port.u8(type);
    return value === undefined ? [] : [value === 1 ? word : `not ${word}`];
  });
}

/** Describes tables and chains by name, and rules by their place: what they do is for nft(8) to say. */
function describeNft(message: Message): string {
  if (message.type === 0x10) return "begin";
  if (message.type === 0x11) return "commit";
  const name = message.type >> 8 === NFNL_SUBSYS_NFTABLES ? NFT_NAMES[message.type & 0xff] : undefined;
  const attributes = attributesOf(message, 4);
  const chain = name === "NEWCHAIN" ? attributes.text(NFTA_CHAIN_NAME) : undefined;
  return `${name ?? `message ${message.type}`} ${attributes.text(NFTA_TABLE) ?? ""}${chain ? ` ${chain}` : ""}`.trimEnd();
}
