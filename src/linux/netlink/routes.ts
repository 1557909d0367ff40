/** Messages of rtnetlink(7) about routes. Source: Linux include/uapi/linux/rtnetlink.h. */
import { LighterError } from "../../base/errors.ts";
import { formatIpAddress, parseIpAddress, parseSubnet } from "../../base/ip-address.ts";
import { addressFamily } from "./addresses.ts";
import type { Attribute } from "./attributes.ts";
import { attr, viewOf } from "./attributes.ts";
import { AF, RTM } from "./links.ts";
import type { Message } from "./messages.ts";
import { attributesOf, encodeMessage, NLM_F } from "./messages.ts";

export const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, TABLE: 15 } as const;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;

/** struct rtmsg: u8 family, dst length, src length, tos, table, protocol, scope, type, u32 flags. */
const ROUTE_HEADER_BYTES = 12;

export interface Route {
  /** "10.1.0.0/16", or "default". */
  destination: string;
  /** Absent if the destination is on the link itself. */
  gateway?: string;
}

/**
 * Adds a route to the main table, replacing one to the same destination. `oif` is the attribute of the link's index, whose offset
 * `places` gets; without it the kernel finds the link by the gateway.
 * @throws LighterError ("invalid") for a malformed destination or gateway, or two families
 */
export function encodeReplaceRoute(
  route: Route,
  oif?: Attribute,
  places?: Map<Attribute, number>,
): Uint8Array<ArrayBuffer> {
  const gateway = route.gateway === undefined ? undefined : parseIpAddress(route.gateway);
  const subnet = route.destination === "default" ? undefined : parseSubnet(route.destination);
  const address = subnet?.address ?? gateway;
  if (address === undefined) throw new LighterError("invalid", "a default route needs a gateway");
  const family = addressFamily(address);
  if (gateway !== undefined && addressFamily(gateway) !== family)
    throw new LighterError("invalid", `the route to ${route.destination} cannot go via ${route.gateway}`);
  const scope = gateway === undefined && family === AF.INET ? RT_SCOPE_LINK : 0;
  const length = subnet?.prefixLength ?? 0;
  const header = Uint8Array.of(family, length, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST, 0, 0, 0, 0);
  const attributes: Attribute[] = [];
  if (subnet !== undefined && length > 0) attributes.push(attr.bytes(RTA.DST, subnet.address));
  if (gateway !== undefined) attributes.push(attr.bytes(RTA.GATEWAY, gateway));
  if (oif !== undefined) attributes.push(oif);
  const flags = NLM_F.CREATE | NLM_F.REPLACE | NLM_F.ACK;
  return encodeMessage({ type: RTM.NEWROUTE, flags, header, attributes }, places);
}

/** Asks for the main table's routes, of both families. */
export function encodeListRoutes(): Uint8Array<ArrayBuffer> {
  return encodeMessage({ type: RTM.GETROUTE, flags: NLM_F.DUMP, header: new Uint8Array(ROUTE_HEADER_BYTES) });
}

export interface RouteInfo extends Route {
  family: 4 | 6;
  /** The index of the route's link; 0 if it has none (a route to nowhere) or several. */
  oif: number;
}

/** Parses a route; undefined if it is not in the main table or does not lead to other hosts. */
export function parseRoute(message: Message): RouteInfo | undefined {
  const attributes = attributesOf(message, ROUTE_HEADER_BYTES);
  const view = viewOf(message.payload);
  const family = view.getUint8(0);
  const table = attributes.u32(RTA.TABLE) ?? view.getUint8(4);
  const cloned = 0x200; // set for entries of IPv6's cache
  if (table !== RT_TABLE_MAIN || view.getUint8(7) !== RTN_UNICAST || view.getUint32(8, true) & cloned) return undefined;
  if (family !== AF.INET && family !== AF.INET6) return undefined;
  const destination = attributes.bytes(RTA.DST);
  const gateway = attributes.bytes(RTA.GATEWAY);
  return {
    family: family === AF.INET ? 4 : 6,
    destination: destination === undefined ? "default" : `${formatIpAddress(destination)}/${view.getUint8(1)}`,
    oif: attributes.u32(RTA.OIF) ?? 0,
    ...(gateway && { gateway: formatIpAddress(gateway) }),
  };
}
