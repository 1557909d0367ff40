/** The addresses of networks, and which are given away. Pure: the engine remembers who has which. */

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
