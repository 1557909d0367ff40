/**
 * Messages of rtnetlink(7) about which addresses a bridge has found at which port. Source: Linux include/uapi/linux/neighbour.h.
 */
import { attr, viewOf } from "./attributes.ts";
import { AF, formatMacAddress, parseMacAddress, RTM } from "./links.ts";
import type { Message } from "./messages.ts";
import { attributesOf, encodeMessage, NLM_F } from "./messages.ts";

export const NDA = { LLADDR: 2, VLAN: 5, MASTER: 9 } as const;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const NTF_MASTER = 0x4;

/** struct ndmsg: u8 family, u8 and u16 padding, i32 index, u16 state, u8 flags, u8 type. */
const NEIGHBOUR_HEADER_BYTES = 12;
/** The index's offset in a message about neighbours, where a slot's value may be put. */
export const NEIGHBOUR_INDEX_AT = 20;

function header(index: number, state: number): Uint8Array {
  const bytes = new Uint8Array(NEIGHBOUR_HEADER_BYTES);
  const view = viewOf(bytes);
  view.setUint8(0, AF.BRIDGE);
  view.setInt32(4, index, true);
  view.setUint16(8, state, true);
  view.setUint8(10, NTF_MASTER);
  return bytes;
}

/** Sends frames for the address to this port of its bridge, whatever entry the bridge had and whatever it will see. */
export function encodeReplaceForwarding(index: number, macAddress: string): Uint8Array<ArrayBuffer> {
  const attributes = [attr.bytes(NDA.LLADDR, parseMacAddress(macAddress))];
  const flags = NLM_F.CREATE | NLM_F.REPLACE | NLM_F.ACK;
  return encodeMessage({ type: RTM.NEWNEIGH, flags, header: header(index, NUD_NOARP), attributes });
}

/** Asks for the entries of all bridges. */
export function encodeListForwarding(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(NEIGHBOUR_HEADER_BYTES);
  bytes[0] = AF.BRIDGE;
  return encodeMessage({ type: RTM.GETNEIGH, flags: NLM_F.DUMP, header: bytes });
}

export interface ForwardingEntry {
  macAddress: string;
  /** The index of the port, and of its bridge. */
  index: number;
  bridgeIndex: number;
  /** The VLAN; 0 for frames without one. A bridge that can filter by VLAN has each static entry in its default VLAN, too. */
  vlan: number;
  /** "local": the port's own address; "static": the entry stays; "learned": the bridge has seen the address at the port. */
  type: "local" | "static" | "learned";
}

export function parseForwarding(message: Message): ForwardingEntry {
  const attributes = attributesOf(message, NEIGHBOUR_HEADER_BYTES);
  const view = viewOf(message.payload);
  const state = view.getUint16(8, true);
  return {
    macAddress: formatMacAddress(attributes.bytes(NDA.LLADDR) ?? new Uint8Array(0)),
    index: view.getInt32(4, true),
    bridgeIndex: attributes.u32(NDA.MASTER) ?? 0,
    vlan: attributes.u16(NDA.VLAN) ?? 0,
    type: state & NUD_PERMANENT ? "local" : state & NUD_NOARP ? "static" : "learned",
  };
}
