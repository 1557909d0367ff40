/** Messages of rtnetlink(7) about links. Source: Linux include/uapi/linux/{rtnetlink,if_link,if,veth}.h. */
import { LighterError } from "../../base/errors.ts";
import type { Attribute, Attributes } from "./attributes.ts";
import { attr, viewOf } from "./attributes.ts";
import type { Message } from "./messages.ts";
import { attributesOf, encodeMessage, NLM_F } from "./messages.ts";

export const RTM = {
  ...{ NEWLINK: 16, DELLINK: 17, GETLINK: 18, SETLINK: 19 },
  ...{ NEWADDR: 20, DELADDR: 21, GETADDR: 22 },
  ...{ NEWROUTE: 24, DELROUTE: 25, GETROUTE: 26 },
  ...{ NEWNEIGH: 28, DELNEIGH: 29, GETNEIGH: 30 },
} as const;

/** Multicast groups, for `watchNetlink`. */
export const RTNLGRP = { LINK: 1, NEIGH: 3, IPV4_IFADDR: 5, IPV4_ROUTE: 7, IPV6_IFADDR: 9, IPV6_ROUTE: 11 } as const;

export const AF = { UNSPEC: 0, INET: 2, BRIDGE: 7, INET6: 10 } as const;

export const IFLA = {
  ...{
    ADDRESS: 1,
    IFNAME: 3,
    MTU: 4,
    LINK: 5,
    MASTER: 10,
    LINKINFO: 18,
    NET_NS_PID: 19,
    ALIAS: 20,
    AF_SPEC: 26,
    NET_NS_FD: 28,
  },
  ...{ EXT_MASK: 29 },
} as const;
export const IFLA_INFO = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const;
export const VETH_INFO_PEER = 1;
const IFLA_BR = { STP_STATE: 5, VLAN_FILTERING: 7, MCAST_SNOOPING: 23 } as const;
export const IFLA_BRPORT = { MODE: 4, LEARNING: 8, UNICAST_FLOOD: 9, ISOLATED: 33 } as const;
export const IFLA_MACVLAN_MODE = 1;
export const IFLA_IPVLAN = { MODE: 1, FLAGS: 2 } as const;
const IFLA_VLAN_ID = 1;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
/** Leaves counters out of the answer: they are half of it, and nobody here needs them. */
const RTEXT_FILTER_SKIP_STATS = 8;

export const IFF = { UP: 0x1, LOOPBACK: 0x8, LOWER_UP: 0x10000 } as const;

/** struct ifinfomsg: u8 family, u8 padding, u16 type, i32 index, u32 flags, u32 change. */
const LINK_HEADER_BYTES = 16;
/** The index's offset in a message about links, where a slot's value may be put. */
export const LINK_INDEX_AT = 20;

export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;
export const IPVLAN_FLAGS = { bridge: 0, private: 1, vepa: 2 } as const;

/** Checks a link's name, which has 15 bytes at most. Source: IFNAMSIZ, dev_valid_name() in net/core/dev.c. */
export function checkLinkName(name: string): void {
  if (!/^[^\s/:\0]{1,15}$/.test(name) || Buffer.byteLength(name) > 15 || name === "." || name === "..")
    throw new LighterError("invalid", `"${name}" is not a name for a network interface`);
}

/** Parses a MAC address such as "02:42:ac:11:00:02". @throws LighterError ("invalid") unless it is six bytes */
export function parseMacAddress(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text))
    throw new LighterError("invalid", `"${text}" is not a MAC address`);
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}

export function formatMacAddress(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** The header of a message about a link. With `index` 0, IFNAME names the link. Only flags in `change` are changed. */
function linkHeader(index: number, flags = 0, change = 0, family = 0): Uint8Array {
  const header = new Uint8Array(LINK_HEADER_BYTES);
  const view = viewOf(header);
  view.setUint8(0, family);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, change, true);
  return header;
}

export function encodeNewLink(
  name: string,
  attributes: readonly Attribute[],
  places?: Map<Attribute, number>,
): Uint8Array<ArrayBuffer> {
  checkLinkName(name);
  const flags = NLM_F.CREATE | NLM_F.EXCL | NLM_F.ACK;
  const all = [attr.text(IFLA.IFNAME, name), ...attributes];
  return encodeMessage({ type: RTM.NEWLINK, flags, header: linkHeader(0), attributes: all }, places);
}

/** The attribute that says which kind of link to make. */
export function linkKind(kind: string, data: readonly Attribute[] = []): Attribute {
  const inner = data.length === 0 ? [] : [attr.nested(IFLA_INFO.DATA, data)];
  return attr.nested(IFLA.LINKINFO, [attr.text(IFLA_INFO.KIND, kind), ...inner]);
}

/** The options of a bridge. An absent one is the kernel's default: no spanning tree, no VLANs; snooping where the kernel can. */
export interface BridgeOptions {
  stp?: boolean;
  vlanFiltering?: boolean;
  multicastSnooping?: boolean;
}

export function bridgeKind({ stp, vlanFiltering, multicastSnooping }: BridgeOptions): Attribute {
  return linkKind("bridge", [
    ...(stp === undefined ? [] : [attr.u32(IFLA_BR.STP_STATE, stp ? 1 : 0)]),
    ...flag(IFLA_BR.VLAN_FILTERING, vlanFiltering),
    ...flag(IFLA_BR.MCAST_SNOOPING, multicastSnooping),
  ]);
}

export function vlanKind(id: number): Attribute {
  return linkKind("vlan", [attr.u16(IFLA_VLAN_ID, id)]);
}

function flag(type: number, value: boolean | undefined): Attribute[] {
  return value === undefined ? [] : [attr.u8(type, value ? 1 : 0)];
}

/** A veth pair whose other end is `name`, made with `attributes`. */
export function vethKind(name: string, attributes: readonly Attribute[]): Attribute {
  checkLinkName(name);
  return linkKind("veth", [attr.behind(VETH_INFO_PEER, linkHeader(0), [attr.text(IFLA.IFNAME, name), ...attributes])]);
}

export function macvlanKind(mode: keyof typeof MACVLAN_MODES): Attribute {
  return linkKind("macvlan", [attr.u32(IFLA_MACVLAN_MODE, MACVLAN_MODES[mode])]);
}

export function ipvlanKind(mode: keyof typeof IPVLAN_MODES, flag: keyof typeof IPVLAN_FLAGS): Attribute {
  return linkKind("ipvlan", [
    attr.u16(IFLA_IPVLAN.MODE, IPVLAN_MODES[mode]),
    attr.u16(IFLA_IPVLAN.FLAGS, IPVLAN_FLAGS[flag]),
  ]);
}

export interface BridgePortOptions {
  /** Isolated ports exchange no frames with each other. */
  isolated?: boolean;
  /** A frame may leave by the port it came in by. */
  hairpin?: boolean;
  /** The bridge remembers which addresses are behind it. */
  learning?: boolean;
}

/** Sets options of a link that is a bridge's port already. */
export function encodeSetBridgePort(index: number, options: BridgePortOptions): Uint8Array<ArrayBuffer> {
  const { isolated, hairpin, learning } = options;
  const data = [
    ...flag(IFLA_BRPORT.MODE, hairpin),
    ...flag(IFLA_BRPORT.LEARNING, learning),
    ...flag(IFLA_BRPORT.ISOLATED, isolated),
  ];
  const info = [attr.text(IFLA_INFO.SLAVE_KIND, "bridge"), attr.nested(IFLA_INFO.SLAVE_DATA, data)];
  // NEWLINK, not SETLINK: it alone passes a port's data to its bridge.
  return encodeMessage({
    type: RTM.NEWLINK,
    flags: NLM_F.ACK,
    header: linkHeader(index),
    attributes: [attr.nested(IFLA.LINKINFO, info)],
  });
}

export interface LinkChanges {
  isUp?: boolean;
  mtu?: number;
  /** The index of the bridge that the link becomes a port of; 0 for none. */
  masterIndex?: number;
  macAddress?: string;
  /** The link gets no IPv6 address by itself. */
  withoutLinkLocal?: boolean;
}

/** Stores a text with a link. The link must exist: this message must follow the one that makes it. */
export function encodeSetAlias(link: string | number, alias: string): Uint8Array<ArrayBuffer> {
  const { header, attributes } = whichLink(link);
  const all = [...attributes, attr.text(IFLA.ALIAS, alias)];
  return encodeMessage({ type: RTM.SETLINK, flags: NLM_F.ACK, header, attributes: all });
}

/** Changes a link, by name or index. */
export function encodeSetLink(link: string | number, changes: LinkChanges): Uint8Array<ArrayBuffer> {
  const { isUp, mtu, masterIndex, macAddress, withoutLinkLocal } = changes;
  const attributes: Attribute[] = typeof link === "number" ? [] : [attr.text(IFLA.IFNAME, link)];
  if (mtu !== undefined) attributes.push(attr.u32(IFLA.MTU, mtu));
  if (masterIndex !== undefined) attributes.push(attr.u32(IFLA.MASTER, masterIndex));
  if (macAddress !== undefined) attributes.push(attr.bytes(IFLA.ADDRESS, parseMacAddress(macAddress)));
  if (withoutLinkLocal) {
    const mode = attr.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    attributes.push(attr.nested(IFLA.AF_SPEC, [attr.nested(AF.INET6, [mode])]));
  }
  const header = linkHeader(typeof link === "number" ? link : 0, isUp ? IFF.UP : 0, isUp === undefined ? 0 : IFF.UP);
  return encodeMessage({ type: RTM.SETLINK, flags: NLM_F.ACK, header, attributes });
}

/** Moves a link, given by index, into another network namespace, where it gets that name. `into` says which namespace. */
export function encodeMoveLink(name: string, into: Attribute, places: Map<Attribute, number>): Uint8Array<ArrayBuffer> {
  const attributes = [attr.text(IFLA.IFNAME, name), into];
  return encodeMessage({ type: RTM.SETLINK, flags: NLM_F.ACK, header: linkHeader(0), attributes }, places);
}

function whichLink(link: string | number): { header: Uint8Array; attributes: Attribute[] } {
  return typeof link === "number"
    ? { header: linkHeader(link), attributes: [] }
    : { header: linkHeader(0), attributes: [attr.text(IFLA.IFNAME, link)] };
}

/** Removes a link, by name or index. */
export function encodeRemoveLink(link: string | number): Uint8Array<ArrayBuffer> {
  return encodeMessage({ type: RTM.DELLINK, flags: NLM_F.ACK, ...whichLink(link) });
}

/** Asks for a link by name or index; `parseLink` reads the answer. */
export function encodeGetLink(link: string | number): Uint8Array<ArrayBuffer> {
  const { header, attributes } = whichLink(link);
  const mask = attr.u32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return encodeMessage({ type: RTM.GETLINK, flags: NLM_F.ACK, header, attributes: [...attributes, mask] });
}

export function encodeListLinks(): Uint8Array<ArrayBuffer> {
  const attributes = [attr.u32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS)];
  return encodeMessage({ type: RTM.GETLINK, flags: NLM_F.DUMP, header: linkHeader(0), attributes });
}

export interface LinkInfo {
  index: number;
  name: string;
  /** "bridge", "veth" …; "" for a device that is not made by software. */
  kind: string;
  /** The MAC address, or "" if the link has none. */
  macAddress: string;
  /** The text stored with the link, or "". */
  alias: string;
  mtu: number;
  /** The index of the bridge whose port the link is; 0 for none. */
  masterIndex: number;
  /** The index of the link below a macvlan or ipvlan, or of a veth's other end, in whatever namespace that is; 0 for none. */
  parentIndex: number;
  isLoopback: boolean;
  isUp: boolean;
  /** True if the link is up and has a carrier. */
  isRunning: boolean;
  /** Set if the link is a bridge's port. */
  port?: BridgePortOptions;
}

export function parseLink(message: Message): LinkInfo {
  const attributes = attributesOf(message, LINK_HEADER_BYTES);
  const view = viewOf(message.payload);
  const flags = view.getUint32(8, true);
  const info = attributes.nested(IFLA.LINKINFO);
  const port = info?.text(IFLA_INFO.SLAVE_KIND) === "bridge" ? info.nested(IFLA_INFO.SLAVE_DATA) : undefined;
  return {
    index: view.getInt32(4, true),
    name: attributes.text(IFLA.IFNAME) ?? "",
    kind: info?.text(IFLA_INFO.KIND) ?? "",
    macAddress: formatMacAddress(attributes.bytes(IFLA.ADDRESS) ?? new Uint8Array(0)),
    alias: attributes.text(IFLA.ALIAS) ?? "",
    mtu: attributes.u32(IFLA.MTU) ?? 0,
    masterIndex: attributes.u32(IFLA.MASTER) ?? 0,
    parentIndex: attributes.u32(IFLA.LINK) ?? 0,
    isLoopback: (flags & IFF.LOOPBACK) !== 0,
    isUp: (flags & IFF.UP) !== 0,
    isRunning: (flags & IFF.LOWER_UP) !== 0,
    ...(port && { port: parseBridgePort(port) }),
  };
}

function parseBridgePort(data: Attributes): BridgePortOptions {
  return {
    isolated: data.u8(IFLA_BRPORT.ISOLATED) === 1,
    hairpin: data.u8(IFLA_BRPORT.MODE) === 1,
    learning: data.u8(IFLA_BRPORT.LEARNING) === 1,
  };
}
