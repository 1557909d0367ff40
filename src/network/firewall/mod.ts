/** The firewall of bridge networks and published ports. */
export { Firewall } from "./firewall.ts";
