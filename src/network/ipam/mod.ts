/** Which addresses there are, and which are given away. Pure: who has which is the engine's to keep. */

export {
  type Cidr,
  contains,
  firstOf,
  formatCidr,
  lastOf,
  masked,
  overlaps,
  parseCidr,
  sizeOf,
} from "../../base/cidr.ts";
export { bitsOf, type Family, formatIp, type IpAddress, parseIp } from "../../base/ip-number.ts";
export { AddressPoolState } from "./address-pool.ts";
export { chooseSubnet, DEFAULT_POOLS, type DefaultPool, localPoolV6 } from "./default-pools.ts";
export { macAddressFor, parseMac } from "./mac-address.ts";
