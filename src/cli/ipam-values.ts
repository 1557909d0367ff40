/** Address flags of `network create` → the API's IPAM configuration: each range, gateway and name to its subnet. */
import { isIp } from "./ip.ts";

export interface IpamConfig {
  Subnet: string;
  IPRange?: string;
  Gateway?: string;
  AuxiliaryAddresses?: Record<string, string>;
}

interface Prefix {
  /** 4 or 6 */
  readonly version: number;
  readonly address: bigint;
  readonly bits: number;
  readonly length: number;
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
      if (contains(other, subnet) || contains(subnet, other))
        throw new Error("multiple overlapping subnet configuration is not supported");
    configs.set(subnet, { Subnet: subnet });
  }
  const subnetOf = (address: string, what: string): IpamConfig => {
    for (const [subnet, config] of configs) if (contains(subnet, address)) return config;
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

/** Whether the address (or the first address of the prefix) `inner` lies in the prefix `outer`. */
function contains(outer: string, inner: string): boolean {
  const subnet = parsePrefix(outer);
  if (subnet === undefined) throw new Error(`invalid subnet: invalid CIDR address: ${outer}`);
  const isPrefix = inner.includes("/");
  const address = isPrefix ? parsePrefix(inner) : parseAddress(inner);
  if (address === undefined && isPrefix) throw new Error(`invalid CIDR address: ${inner}`);
  if (address === undefined) return false;
  const shift = BigInt(subnet.bits - subnet.length);
  return address.version === subnet.version && address.address >> shift === subnet.address >> shift;
}

function parsePrefix(text: string): Prefix | undefined {
  const [, addressText = "", lengthText = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const address = parseAddress(addressText);
  if (address === undefined || Number(lengthText) > address.bits) return undefined;
  return { ...address, length: Number(lengthText) };
}

function parseAddress(text: string): Prefix | undefined {
  if (!isIp(text)) return undefined;
  if (!text.includes(":")) return { version: 4, address: parseIpv4(text), bits: 32, length: 32 };
  const [left = "", right] = text.split("::", 2);
  const head = parseGroups(left);
  const tail = right === undefined ? [] : parseGroups(right);
  const groups = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0n), ...tail];
  return { version: 6, address: groups.reduce((sum, group) => (sum << 16n) | group, 0n), bits: 128, length: 128 };
}

/** "2001:db8" → two groups; an IPv4 address at the end makes two more. */
function parseGroups(text: string): bigint[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [BigInt(`0x${group}`)];
    const address = parseIpv4(group);
    return [address >> 16n, address & 0xffffn];
  });
}

function parseIpv4(text: string): bigint {
  return text.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}
