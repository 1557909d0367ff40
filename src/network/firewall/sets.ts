/**
 * The sets and maps of the firewall's table, and what of networks and ports is in them. All that changes is here: the rules
 * stay as they are, and a packet's way is as long with ten thousand published ports as with none.
 */
import { LighterError } from "../../base/errors.ts";
import { lastAddress, parseIpAddress, parseSubnet } from "../../base/ip-address.ts";
import { type DataType, type Element, interfaceName, type NftSet, portNumber } from "../../linux/nftables/mod.ts";
import type { ContainerLink, FirewallNetwork, PortMapping, TransportProtocol } from "../types.ts";

export type IpFamily = "ip" | "ip6";
export const IP_FAMILIES = ["ip", "ip6"] as const;

const ADDRESS_TYPE = { ip: "ipv4_addr", ip6: "ipv6_addr" } as const satisfies Record<IpFamily, DataType>;

/** Names that depend on the family: "ports4", "ports6". */
function perFamily<T>(make: (digit: "4" | "6", address: DataType) => T): Record<IpFamily, T> {
  return { ip: make("4", ADDRESS_TYPE.ip), ip6: make("6", ADDRESS_TYPE.ip6) };
}

export const SETS = {
  /** Every bridge of ours. */
  bridges: { name: "bridges", key: ["ifname"] },
  internal: { name: "internal", key: ["ifname"] },
  /** A bridge twice: its containers reach one another. */
  icc: { name: "icc", key: ["ifname", "ifname"] },
  /** A bridge, an address on it and where its container may go on the same bridge: address, port. */
  links: { name: "links", key: ["ifname", "ipv4_addr", "ipv4_addr", "inet_proto", "inet_service"] },
  /** A bridge with each of its subnets. */
  subnets: perFamily((digit, address) => ({
    name: `subnets${digit}`,
    key: ["ifname", address],
    interval: true,
  })),
  /** Subnets whose packets leave with the address of the interface that they leave by. */
  masquerade: perFamily((digit, address) => ({ name: `masquerade${digit}`, key: [address], interval: true })),
  /** Subnets whose packets leave with this address. */
  sources: perFamily((digit, address) => ({
    name: `sources${digit}`,
    key: [address],
    data: [address],
    interval: true,
  })),
  /** Ports of all addresses of the host, and where they lead. */
  ports: perFamily((digit, address) => ({
    name: `ports${digit}`,
    key: ["inet_proto", "inet_service"],
    data: [address, "inet_service"],
  })),
  /** Ports of one address of the host. */
  portsAt: perFamily((digit, address) => ({
    name: `ports${digit}-at`,
    key: [address, "inet_proto", "inet_service"],
    data: [address, "inet_service"],
  })),
} as const satisfies Record<string, NftSet | Record<IpFamily, NftSet>>;

/** In the order of `SETS`. */
export const ALL_SETS: readonly NftSet[] = Object.values(SETS).flatMap((each): NftSet[] =>
  "name" in each ? [each] : [each.ip, each.ip6],
);

export interface Entry {
  set: NftSet;
  element: Element;
}

function familyOf(address: Uint8Array): IpFamily {
  return address.length === 4 ? "ip" : "ip6";
}

/** @throws LighterError ("invalid") for what is no subnet or address */
export function networkEntries(network: FirewallNetwork): Entry[] {
  const name = interfaceName(network.bridge);
  const entries: Entry[] = [{ set: SETS.bridges, element: { key: [name] } }];
  if (network.internal) entries.push({ set: SETS.internal, element: { key: [name] } });
  if (network.icc) entries.push({ set: SETS.icc, element: { key: [name, name] } });
  const sources = (network.hostAddresses ?? []).map(parseIpAddress);
  for (const subnet of network.subnets.map(parseSubnet)) {
    const first = subnet.address;
    const last = lastAddress(subnet);
    const family = familyOf(first);
    entries.push({ set: SETS.subnets[family], element: { key: [name, first], last: [name, last] } });
    if (!network.masquerade || network.internal) continue;
    const source = sources.find((address) => familyOf(address) === family);
    entries.push(
      source === undefined
        ? { set: SETS.masquerade[family], element: { key: [first], last: [last] } }
        : { set: SETS.sources[family], element: { key: [first], last: [last], data: [source] } },
    );
  }
  return entries;
}

/** IPPROTO_*. */
export const PROTOCOL_NUMBER: Record<TransportProtocol, number> = { tcp: 6, udp: 17, sctp: 132 };

/** @throws LighterError ("invalid") for what is no address, or two of different families */
export function portEntry(port: PortMapping): Entry {
  const hostAddress = parseIpAddress(port.hostAddress);
  const family = familyOf(hostAddress);
  const key = [Uint8Array.of(PROTOCOL_NUMBER[port.protocol]), portNumber(port.hostPort)];
  const address = parseIpAddress(port.address);
  if (familyOf(address) !== family)
    throw new LighterError("invalid", `a port of ${port.hostAddress} cannot lead to ${port.address}`);
  const data = [address, portNumber(port.port)];
  const isAny = hostAddress.every((byte) => byte === 0);
  return isAny
    ? { set: SETS.ports[family], element: { key, data } }
    : { set: SETS.portsAt[family], element: { key: [hostAddress, ...key], data } };
}

/** @throws LighterError ("invalid") for what is no address of IPv4 */
export function linkEntry({ bridge, from, to, protocol, port }: ContainerLink): Entry {
  const name = interfaceName(bridge);
  const addresses = [from, to].map(parseIpAddress);
  if (addresses.some((address) => familyOf(address) !== "ip"))
    throw new LighterError("invalid", `a link from ${from} to ${to} is not of IPv4`);
  return {
    set: SETS.links,
    element: { key: [name, ...addresses, Uint8Array.of(PROTOCOL_NUMBER[protocol]), portNumber(port)] },
  };
}
