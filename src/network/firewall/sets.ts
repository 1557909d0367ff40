/**
 * The sets and maps of the firewall's table, and their entries for networks and ports. Everything that changes is here: the rules
 * stay the same, and a packet's way is as short with ten thousand published ports as with none.
 */
import { LighterError } from "../../base/errors.ts";
import { lastAddress, parseIpAddress, parseSubnet } from "../../base/ip-address.ts";
import { type DataType, type Element, interfaceName, type NftSet, portNumber } from "../../linux/nftables/mod.ts";
import type { ContainerLink, FirewallNetwork, GatewayMode, PortMapping, TransportProtocol } from "../types.ts";

export type IpFamily = "ip" | "ip6";
export const IP_FAMILIES = ["ip", "ip6"] as const;

const ADDRESS_TYPE = { ip: "ipv4_addr", ip6: "ipv6_addr" } as const satisfies Record<IpFamily, DataType>;

/** Makes a set for each family, with names like "ports4", "ports6". */
function perFamily<T>(make: (digit: "4" | "6", address: DataType) => T): Record<IpFamily, T> {
  return { ip: make("4", ADDRESS_TYPE.ip), ip6: make("6", ADDRESS_TYPE.ip6) };
}

export const SETS = {
  /** Our bridges. */
  bridges: { name: "bridges", key: ["ifname"] },
  internal: { name: "internal", key: ["ifname"] },
  /** A bridge twice, if its containers may reach each other. */
  icc: { name: "icc", key: ["ifname", "ifname"] },
  /** Which container may reach which on the same bridge: bridge, address, then the other's address and port. */
  links: { name: "links", key: ["ifname", "ipv4_addr", "ipv4_addr", "inet_proto", "inet_service"] },
  /** Bridges with the protocols whose packets may come in from outside, whatever their port. */
  open: perFamily((digit) => ({ name: `open${digit}`, key: ["ifname", "inet_proto"], interval: true })),
  /** Ports of containers that can be reached at the containers' own addresses. */
  routed: perFamily((digit, address) => ({ name: `routed${digit}`, key: [address, "inet_proto", "inet_service"] })),
  /** Ports that can be reached so by packets that come in through this interface. */
  trusted: perFamily((digit, address) => ({
    name: `trusted${digit}`,
    key: ["ifname", address, "inet_proto", "inet_service"],
  })),
  /** Bridges with each of their subnets. */
  subnets: perFamily((digit, address) => ({
    name: `subnets${digit}`,
    key: ["ifname", address],
    interval: true,
  })),
  /** Subnets whose packets leave with the address of the interface by which they leave. */
  masquerade: perFamily((digit, address) => ({ name: `masquerade${digit}`, key: [address], interval: true })),
  /** Subnets whose packets leave with this address. */
  sources: perFamily((digit, address) => ({
    name: `sources${digit}`,
    key: [address],
    data: [address],
    interval: true,
  })),
  /** Ports on all addresses of the host, and where they lead. */
  ports: perFamily((digit, address) => ({
    name: `ports${digit}`,
    key: ["inet_proto", "inet_service"],
    data: [address, "inet_service"],
  })),
  /** Ports on one address of the host. */
  portsAt: perFamily((digit, address) => ({
    name: `ports${digit}-at`,
    key: [address, "inet_proto", "inet_service"],
    data: [address, "inet_service"],
  })),
} as const satisfies Record<string, NftSet | Record<IpFamily, NftSet>>;

/** All sets in the order of `SETS`. */
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

/**
 * Ranges of protocols, first and last. A host that routes to containers may ask whether they are there: IPPROTO_ICMP,
 * IPPROTO_ICMPV6.
 */
const OPEN_PROTOCOLS: Readonly<Partial<Record<GatewayMode, Record<IpFamily, [number, number]>>>> = {
  "nat-unprotected": { ip: [0, 255], ip6: [0, 255] },
  routed: { ip: [1, 1], ip6: [58, 58] },
};

/** The entries of a network. @throws LighterError ("invalid") for a malformed subnet or address */
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
    const mode = network.gatewayModes?.[family === "ip" ? "ipv4" : "ipv6"] ?? "nat";
    entries.push({ set: SETS.subnets[family], element: { key: [name, first], last: [name, last] } });
    if (network.internal) continue;
    const [from, to] = OPEN_PROTOCOLS[mode]?.[family] ?? [];
    if (from !== undefined)
      entries.push({
        set: SETS.open[family],
        element: { key: [name, Uint8Array.of(from)], last: [name, Uint8Array.of(to!)] },
      });
    if (!network.masquerade || mode === "routed") continue;
    const source = sources.find((address) => familyOf(address) === family);
    entries.push(
      source === undefined
        ? { set: SETS.masquerade[family], element: { key: [first], last: [last] } }
        : { set: SETS.sources[family], element: { key: [first], last: [last], data: [source] } },
    );
  }
  return entries;
}

/** The IPPROTO_* numbers. */
export const PROTOCOL_NUMBER: Record<TransportProtocol, number> = { tcp: 6, udp: 17, sctp: 132 };

/** The entries of a published port. @throws LighterError ("invalid") for a malformed address, or two of different families */
export function portEntries(port: PortMapping): Entry[] {
  const hostAddress = parseIpAddress(port.hostAddress);
  const family = familyOf(hostAddress);
  const protocol = Uint8Array.of(PROTOCOL_NUMBER[port.protocol]);
  const address = parseIpAddress(port.address);
  if (familyOf(address) !== family)
    throw new LighterError("invalid", `a port of ${port.hostAddress} cannot lead to ${port.address}`);
  const own = [address, protocol, portNumber(port.port)];
  if (port.hostPort === 0) return [{ set: SETS.routed[family], element: { key: own } }];
  const key = [protocol, portNumber(port.hostPort)];
  const data = [address, portNumber(port.port)];
  const isAny = hostAddress.every((byte) => byte === 0);
  return [
    isAny
      ? { set: SETS.ports[family], element: { key, data } }
      : { set: SETS.portsAt[family], element: { key: [hostAddress, ...key], data } },
    ...(port.trustedInterfaces ?? []).map((name) => ({
      set: SETS.trusted[family],
      element: { key: [interfaceName(name), ...own] },
    })),
  ];
}

/** The entry of a link. @throws LighterError ("invalid") for what is no IPv4 address */
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
