/** netlink(7): links, addresses and routes, and the messages that other subsystems build on. */
export type { AddressInfo, LinkAddress } from "./addresses.ts";
export type { Attribute } from "./attributes.ts";
export { Attributes, attr } from "./attributes.ts";
export type { BridgeOptions, BridgePortOptions, LinkChanges, LinkInfo } from "./links.ts";
export { checkLinkName, formatMacAddress, parseMacAddress, RTNLGRP } from "./links.ts";
export type { Message } from "./messages.ts";
export { attributesOf, encodeMessage, NLM_F, parseMessages } from "./messages.ts";
export type { ForwardingEntry } from "./neighbours.ts";
export { isProtocolServed } from "./protocols.ts";
export { RouteSocket } from "./route-socket.ts";
export type { Route, RouteInfo } from "./routes.ts";
export { NETLINK, NetlinkSocket } from "./socket.ts";
export { watchNetlink } from "./watch.ts";
