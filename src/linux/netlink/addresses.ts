/** Messages of rtnetlink(7) about addresses. Source: Linux include/uapi/linux/if_addr.h. */
import { formatIpAddress, lastAddress, parseIpAddress } from "../../base/ip-address.ts";
import { attr, viewOf } from "./attributes.ts";
import { AF, RTM } from "./links.ts";
import type { Message } from "./messages.ts";
import { attributesOf, encodeMessage, NLM_F } from "./messages.ts";

export const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4 } as const;
/** The address can be used at once, without a probe whether somebody has it already. IPv6 only. */
const IFA_F_NODAD = 0x2;

/** struct ifaddrmsg: u8 family, u8 prefix length, u8 flags, u8 scope, u32 index. */
const ADDRESS_HEADER_BYTES = 8;
/** The index's offset in a message about addresses, where a slot's value may be put. */
export const ADDRESS_INDEX_AT = 20;

export interface LinkAddress {
  address: string;
  prefixLength: number;
}

export function addressFamily(bytes: Uint8Array): number {
  return bytes.length === 4 ? AF.INET : AF.INET6;
}

function header(index: number, family: number, prefixLength: number): Uint8Array {
  const bytes = Uint8Array.of(family, prefixLength, family === AF.INET6 ? IFA_F_NODAD : 0, 0, 0, 0, 0, 0);
  viewOf(bytes).setUint32(4, index, true);
  return bytes;
}

function encodeAddress(type: number, flags: number, index: number, { address, prefixLength }: LinkAddress) {
  const bytes = parseIpAddress(address);
  const family = addressFamily(bytes);
  const attributes = [attr.bytes(IFA.LOCAL, bytes), attr.bytes(IFA.ADDRESS, bytes)];
  if (family === AF.INET && prefixLength < 31)
    attributes.push(attr.bytes(IFA.BROADCAST, lastAddress({ address: bytes, prefixLength })));
  return encodeMessage({ type, flags: flags | NLM_F.ACK, header: header(index, family, prefixLength), attributes });
}

/** Adds an address, which may be there already. It gets a broadcast address if the prefix leaves room for one. */
export function encodeReplaceAddress(index: number, address: LinkAddress): Uint8Array<ArrayBuffer> {
  return encodeAddress(RTM.NEWADDR, NLM_F.CREATE | NLM_F.REPLACE, index, address);
}

export function encodeRemoveAddress(index: number, address: LinkAddress): Uint8Array<ArrayBuffer> {
  return encodeAddress(RTM.DELADDR, 0, index, address);
}

/** Asks for the addresses of all links: the kernel lists them by family. */
export function encodeListAddresses(): Uint8Array<ArrayBuffer> {
  return encodeMessage({ type: RTM.GETADDR, flags: NLM_F.DUMP, header: new Uint8Array(ADDRESS_HEADER_BYTES) });
}

export interface AddressInfo extends LinkAddress {
  /** The index of the address's link. */
  index: number;
  /** "link": valid on its link only; "host": loopback. */
  scope: "global" | "link" | "host";
}

export function parseAddress(message: Message): AddressInfo {
  const attributes = attributesOf(message, ADDRESS_HEADER_BYTES);
  const view = viewOf(message.payload);
  const scope = view.getUint8(3);
  return {
    index: view.getUint32(4, true),
    // On a point-to-point link, ADDRESS is the address of the other end.
    address: formatIpAddress(attributes.bytes(IFA.LOCAL) ?? attributes.bytes(IFA.ADDRESS) ?? new Uint8Array(4)),
    prefixLength: view.getUint8(1),
    scope: scope === 254 ? "host" : scope === 253 ? "link" : "global",
  };
}
