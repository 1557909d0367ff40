/**
 * Messages about the connections that the kernel tracks.
 * Source: Linux include/uapi/linux/netfilter/nfnetlink_conntrack.h, net/netfilter/nf_conntrack_netlink.c.
 */

import { assert } from "../../base/assert.ts";
import type { Attribute, Attributes, Message } from "../netlink/mod.ts";
import { attr, attributesOf, encodeMessage, NLM_F } from "../netlink/mod.ts";
import { NFGENMSG_BYTES } from "../nftables/messages.ts";
import { AF_INET, AF_INET6 } from "../sys/abi.ts";

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const IPCTNL_MSG_CT_GET_STATS = 5;
const CTA_STATS_GLOBAL_ENTRIES = 1;

const CTA = { original: 1, reply: 2, status: 3, id: 12, zone: 18, filter: 25 } as const;
const CTA_TUPLE = { ip: 1, proto: 2 } as const;
const CTA_IP = { v4Source: 1, v4Destination: 2, v6Source: 3, v6Destination: 4 } as const;
const CTA_PROTO = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
const CTA_FILTER = { original: 1, reply: 2 } as const;
/** The fields of a tuple that a filter looks at. Source: Linux net/netfilter/nf_internals.h, since 5.8. */
const FILTER_SOURCE = 1 << 0;
const FILTER_PROTOCOL = 1 << 3;
const FILTER_DESTINATION_PORT = 1 << 5;
/** IPS_SRC_NAT | IPS_DST_NAT. */
const STATUS_NAT = 0x30;

/** One direction of a connection. Addresses are in network order; ports are 0 for protocols without ports. */
interface Tuple {
  source: Uint8Array;
  destination: Uint8Array;
  protocol: number;
  destinationPort: number;
}

export interface Connection {
  /** AF_INET or AF_INET6. */
  family: number;
  original: Tuple;
  reply: Tuple;
  /** True if neither its source nor its destination was changed. */
  isPlain: boolean;
  /** The attributes by which the kernel finds it. */
  identity: { original: Uint8Array; id?: Uint8Array; zone?: Uint8Array };
}

function encode(operation: number, family: number, flags: number, attributes: readonly Attribute[]): Uint8Array {
  const header = Uint8Array.of(family, 0, 0, 0);
  return encodeMessage({ type: (NFNL_SUBSYS_CTNETLINK << 8) | operation, flags, header, attributes });
}

export function familyOf(address: Uint8Array): number {
  return address.length === 4 ? AF_INET : AF_INET6;
}

/** Asks for the number of connections. */
export function askCount(): Uint8Array {
  return encode(IPCTNL_MSG_CT_GET_STATS, 0, 0, []);
}

/** Parses the number of connections. @throws LighterError ("kernel", EBADMSG) */
export function parseCount(message: Message): number {
  return attributesOf(message, NFGENMSG_BYTES).be32(CTA_STATS_GLOBAL_ENTRIES) ?? 0;
}

/** Asks for all connections. */
export function listAll(): Uint8Array {
  return encode(IPCTNL_MSG_CT_GET, 0, NLM_F.DUMP, []);
}

type Direction = "original" | "reply";

/** Asks for the connections whose packets, or answers, come from the address. */
export function listFrom(address: Uint8Array, direction: Direction): Uint8Array {
  return encode(IPCTNL_MSG_CT_GET, familyOf(address), NLM_F.DUMP, fromAddress(address, direction));
}

/**
 * Deletes the connections that `listFrom` lists. Since Linux 6.8; older kernels answer EINVAL, since no connection is named in
 * full.
 */
export function deleteFrom(address: Uint8Array, direction: Direction): Uint8Array {
  return encode(IPCTNL_MSG_CT_DELETE, familyOf(address), NLM_F.ACK, fromAddress(address, direction));
}

function fromAddress(address: Uint8Array, direction: Direction): Attribute[] {
  const type = familyOf(address) === AF_INET ? CTA_IP.v4Source : CTA_IP.v6Source;
  return [
    attr.nested(CTA[direction], [attr.nested(CTA_TUPLE.ip, [attr.bytes(type, address)])]),
    attr.nested(CTA.filter, [attr.u32(CTA_FILTER[direction], FILTER_SOURCE)]),
  ];
}

/** Asks for the connections of one family to a port, at any address. */
export function listToPort(family: number, protocol: number, port: number): Uint8Array {
  const proto = [attr.u8(CTA_PROTO.number, protocol), attr.be16(CTA_PROTO.destinationPort, port)];
  return encode(IPCTNL_MSG_CT_GET, family, NLM_F.DUMP, [
    attr.nested(CTA.original, [attr.nested(CTA_TUPLE.proto, proto)]),
    attr.nested(CTA.filter, [attr.u32(CTA_FILTER.original, FILTER_PROTOCOL | FILTER_DESTINATION_PORT)]),
  ]);
}

/** Deletes a connection; ENOENT if it has ended. */
export function deleteConnection({ family, identity }: Connection): Uint8Array {
  assert(identity.original.length > 0, "a connection without its addresses would stand for all"); // otherwise the kernel deletes every one
  return encode(IPCTNL_MSG_CT_DELETE, family, NLM_F.ACK, [
    attr.bytes(CTA.original | 0x8000, identity.original),
    ...(identity.id === undefined ? [] : [attr.bytes(CTA.id, identity.id)]),
    ...(identity.zone === undefined ? [] : [attr.bytes(CTA.zone, identity.zone)]),
  ]);
}

/** Parses a connection of a list. @throws LighterError ("kernel", EBADMSG) */
export function parseConnection(message: Message): Connection | undefined {
  const attributes = attributesOf(message, NFGENMSG_BYTES);
  const original = parseTuple(attributes.nested(CTA.original));
  const reply = parseTuple(attributes.nested(CTA.reply));
  const named = attributes.bytes(CTA.original);
  if (original === undefined || reply === undefined || named === undefined) return undefined;
  const id = attributes.bytes(CTA.id);
  const zone = attributes.bytes(CTA.zone);
  return {
    family: message.payload[0]!,
    original,
    reply,
    isPlain: ((attributes.be32(CTA.status) ?? 0) & STATUS_NAT) === 0,
    identity: { original: named, ...(id !== undefined && { id }), ...(zone !== undefined && { zone }) },
  };
}

function parseTuple(tuple: Attributes | undefined): Tuple | undefined {
  const ip = tuple?.nested(CTA_TUPLE.ip);
  const proto = tuple?.nested(CTA_TUPLE.proto);
  const source = ip?.bytes(CTA_IP.v4Source) ?? ip?.bytes(CTA_IP.v6Source);
  const destination = ip?.bytes(CTA_IP.v4Destination) ?? ip?.bytes(CTA_IP.v6Destination);
  const protocol = proto?.u8(CTA_PROTO.number);
  if (source === undefined || destination === undefined || protocol === undefined) return undefined;
  return { source, destination, protocol, destinationPort: proto?.be16(CTA_PROTO.destinationPort) ?? 0 };
}
