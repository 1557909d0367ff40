/**
 * Turns the address flags of `network create` into the API's IPAM configuration: each range, gateway and name goes to
 * its subnet.
 */
import { contains, parseCidr } from "../../base/cidr.ts";
import { parseIp } from "../../base/ip-number.ts";

export interface IpamConfig {
  Subnet: string;
  IPRange?: string;
  Gateway?: string;
  AuxiliaryAddresses?: Record<string, string>;
}

/** @throws Error with the text users of the stock client know */
export function buildIpamConfigs(
  subnets: readonly string[],
  ranges: readonly string[],
  gateways: readonly string[],
  auxiliary: Readonly<Record<string, string>>,
): IpamConfig[] {
  if (subnets.length < ranges.length || subnets.length < gateways.length)
    throw new Error("every ip-range or gateway must have a corresponding subnet");
  const configs = new Map<string, IpamConfig>();
  for (const subnet of subnets) {
    for (const other of configs.keys())
      if (isIn(other, subnet) || isIn(subnet, other))
        throw new Error("multiple overlapping subnet configuration is not supported");
    configs.set(subnet, { Subnet: subnet });
  }
  const subnetOf = (address: string, what: string): IpamConfig => {
    for (const [subnet, config] of configs) if (isIn(subnet, address)) return config;
    throw new Error(`no matching subnet for ${what} ${address}`);
  };
  for (const range of ranges) {
    const config = subnetOf(range, "range");
    if (config.IPRange !== undefined)
      throw new Error(
        `cannot configure multiple ranges (${range}, ${config.IPRange}) on the same subnet (${config.Subnet})`,
      );
    config.IPRange = range;
  }
  for (const gateway of gateways) {
    const config = subnetOf(gateway, "gateway");
    if (config.Gateway !== undefined)
      throw new Error(
        `cannot configure multiple gateways (${gateway}, ${config.Gateway}) for the same subnet (${config.Subnet})`,
      );
    config.Gateway = gateway;
  }
  for (const [name, address] of Object.entries(auxiliary)) {
    const config = subnetOf(address, "aux-address");
    config.AuxiliaryAddresses = { ...config.AuxiliaryAddresses, [name]: address };
  }
  return [...configs.values()];
}

/** Whether `inner`, an address or a subnet, lies in the prefix `outer`. */
function isIn(outer: string, inner: string): boolean {
  const subnet = parseCidr(outer);
  if (subnet === undefined) throw new Error(`invalid subnet: invalid CIDR address: ${outer}`);
  const isPrefix = inner.includes("/");
  const address = isPrefix ? parseCidr(inner) : parseIp(inner);
  if (address === undefined && isPrefix) throw new Error(`invalid CIDR address: ${inner}`);
  return address !== undefined && contains(subnet, address);
}
