export { Firewall } from "./firewall.ts";
