/** The firewall of bridge networks and published ports. */
export { describeRules } from "./describe.ts";
export { Firewall } from "./firewall.ts";
