/** The daemon's settings for networks, and their checks. */
import { LighterError } from "../../base/errors.ts";
import { IPV6_MTU_MIN, MTU_MAX } from "../../base/limits.ts";
import {
  bitsOf,
  contains,
  DEFAULT_POOLS,
  type DefaultPool,
  type Family,
  formatCidr,
  masked,
  overlaps,
  parseCidr,
  parseIp,
} from "../../network/ipam/mod.ts";
import { isLinkName, isTooShortForIpv6 } from "./bridge-options.ts";

/** The default bridge network, as the daemon's settings have it. */
export interface DefaultBridgeSettings {
  /** The name of a bridge that somebody else has made, and which stays as it is; undefined: one of our own. */
  foreignName?: string;
  /** The bridge's address, with its network's prefix: "192.168.5.1/24". */
  address?: string;
  address6?: string;
  /** The range from which containers get addresses. */
  fixedCidr?: string;
  fixedCidr6?: string;
  /** The gateway of containers, in place of the bridge's own address. */
  gateway?: string;
  gateway6?: string;
  icc: boolean;
  masquerade: boolean;
  enableIPv6: boolean;
  /** The MTU; 0: the kernel's default. */
  mtu: number;
  /** The host's address for published ports that name none. */
  hostAddress: string;
}

/** The daemon's settings for networks. */
export interface NetworkSettings {
  /** The default bridge; undefined: there is none ("bridge": "none"). */
  defaultBridge: DefaultBridgeSettings | undefined;
  addressPools: readonly DefaultPool[];
  /** Options by driver, for networks that do not name them. */
  defaultOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** True if rules for a family are written: masquerading, published ports, isolation of networks. */
  firewall: boolean;
  firewall6: boolean;
  /** True if the host is made to forward packets. */
  forwarding: boolean;
  /** The addresses that "host-gateway" stands for; empty: the default bridge's. */
  hostGateways: readonly string[];
}

export const DEFAULT_NETWORK_SETTINGS: NetworkSettings = {
  defaultBridge: {
    icc: true,
    masquerade: true,
    enableIPv6: false,
    mtu: 0,
    hostAddress: "0.0.0.0",
  },
  addressPools: DEFAULT_POOLS,
  defaultOptions: {},
  firewall: true,
  firewall6: true,
  forwarding: true,
  hostGateways: [],
};

/** Checks the settings. @throws LighterError "invalid", naming the setting as daemon.json does */
export function checkNetworkSettings(settings: NetworkSettings): void {
  const { addressPools, defaultBridge, hostGateways } = settings;
  if (defaultBridge !== undefined) checkDefaultBridge(defaultBridge);
  for (const { base, size } of addressPools) {
    const range = parseCidr(base);
    if (range === undefined) throw invalid("default-address-pools", `${JSON.stringify(base)} is no address range`);
    if (size < range.prefixLength || size > bitsOf(range.family))
      throw invalid("default-address-pools", `a subnet of ${size} bits is not part of ${base}`);
  }
  for (const address of hostGateways)
    if (parseIp(address) === undefined) throw invalid("host-gateway-ip", `${JSON.stringify(address)} is no IP address`);
}

function checkDefaultBridge(bridge: DefaultBridgeSettings): void {
  const { foreignName = "", mtu, hostAddress } = bridge;
  if (!isLinkName(foreignName)) throw invalid("bridge", `${JSON.stringify(foreignName)} is no interface's name`);
  if (mtu < 0 || mtu > MTU_MAX) throw invalid("mtu", `${mtu} is not between 0 and ${MTU_MAX}`);
  if (isTooShortForIpv6(bridge)) throw invalid("mtu", `IPv6 needs an MTU of ${IPV6_MTU_MIN}, not ${mtu}`);
  if (parseIp(hostAddress) === undefined) throw invalid("ip", `${JSON.stringify(hostAddress)} is no IP address`);
  if (foreignName !== "") return; // the subnets of a foreign bridge are its maker's business
  checkFamily(4, bridge.address, bridge.fixedCidr, bridge.gateway, ["bip", "fixed-cidr", "default-gateway"]);
  checkFamily(6, bridge.address6, bridge.fixedCidr6, bridge.gateway6, ["bip6", "fixed-cidr-v6", "default-gateway-v6"]);
}

function checkFamily(
  family: Family,
  address: string | undefined,
  fixedCidr: string | undefined,
  gateway: string | undefined,
  [addressKey, fixedKey, gatewayKey]: readonly [string, string, string],
): void {
  const range = (key: string, text: string) => {
    const cidr = parseCidr(text);
    if (cidr?.family === family) return cidr;
    throw invalid(key, `${JSON.stringify(text)} is no IPv${family} address with a prefix`);
  };
  const own = address === undefined ? undefined : range(addressKey, address);
  const fixed = fixedCidr === undefined ? undefined : range(fixedKey, fixedCidr);
  if (own !== undefined && fixed !== undefined && !(overlaps(own, fixed) && fixed.prefixLength >= own.prefixLength))
    throw invalid(fixedKey, `${fixedCidr} is not part of ${addressKey} ${address}`);
  if (gateway === undefined) return;
  const ip = parseIp(gateway);
  if (ip?.family !== family) throw invalid(gatewayKey, `${JSON.stringify(gateway)} is no IPv${family} address`);
  const subnet = own ?? fixed;
  if (subnet === undefined) throw invalid(gatewayKey, `${addressKey} or ${fixedKey} must say which subnet it is in`);
  if (!contains(subnet, ip)) throw invalid(gatewayKey, `${gateway} is not in the subnet ${formatCidr(masked(subnet))}`);
}

function invalid(key: string, why: string): LighterError {
  return new LighterError("invalid", `${key}: ${why}`);
}
