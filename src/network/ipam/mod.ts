/** Which addresses there are, and which are given away. Pure: who has which is the engine's to keep. */
export { AddressPoolState } from "./address-pool.ts";
export { type Cidr, contains, firstOf, formatCidr, lastOf, masked, overlaps, parseCidr, sizeOf } from "./cidr.ts";
export { chooseSubnet, DEFAULT_POOLS, type DefaultPool, localPoolV6 } from "./default-pools.ts";
export { bitsOf, type Family, formatIp, type IpAddress, parseIp } from "./ip-address.ts";
export { macAddressFor, parseMac } from "./mac-address.ts";
