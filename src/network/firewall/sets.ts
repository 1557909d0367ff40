/**
 * The sets and maps of the firewall's table, and what of networks and ports is in them. All that changes is here: the rules
 * stay as they are, and a packet's way is as long with ten thousand published ports as with none.
 */
import { LighterError } from "../../base/errors.ts";
import { lastAddress, parseIpAddress, parseSubnet } from "../../base/ip-address.ts";
import { type DataType, type Element, interfaceName, type NftSet, portNumber } from "../../linux/nftables/mod.ts";
import type { ContainerLink, FirewallNetwork, GatewayMode, PortMapping, TransportProtocol } from "../types.ts";

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
  /** Bridges, and the protocols whose packets come to each from outside whatever their port. */
  open: perFamily((digit) => ({ name: `open${digit}`, key: ["ifname", "inet_proto"], interval: true })),
  /** Ports of containers that are reached by the containers' own addresses. */
  routed: perFamily((digit, address) => ({ name: `routed${digit}`, key: [address, "inet_proto", "inet_service"] })),
  /** The same for packets that come by this interface. */
  trusted: perFamily((digit, address) => ({
    name: `trusted${digit}`,
    key: ["ifname", address, "inet_proto", "inet_service"],
  })),
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

/** From one to the other. Who routes to containers may ask whether they are there: IPPROTO_ICMP, IPPROTO_ICMPV6. */
const OPEN_PROTOCOLS: Readonly<Partial<Record<GatewayMode, Record<IpFamily, [number, number]>>>> = {
  "nat-unprotected": { ip: [0, 255], ip6: [0, 255] },
  routed: { ip: [1, 1], ip6: [58, 58] },
};

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

/** IPPROTO_*. */
export const PROTOCOL_NUMBER: Record<TransportProtocol, number> = { tcp: 6, udp: 17, sctp: 132 };

/** @throws LighterError ("invalid") for what is no address, or two of different families */
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
