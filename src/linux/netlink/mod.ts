export type { Attribute } from "./attributes.ts";
export { Attributes, attr } from "./attributes.ts";
export type { Message } from "./messages.ts";
export { attributesOf, encodeMessage, NLM_F, parseMessages } from "./messages.ts";
export { NETLINK, NetlinkSocket } from "./socket.ts";
export { watchNetlink } from "./watch.ts";
