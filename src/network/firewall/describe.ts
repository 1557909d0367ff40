/** Says in words what the table has for a network: the elements of its sets, as nft(8) writes them. */
import { formatIpAddress } from "../../base/ip-address.ts";
import type { DataType } from "../../linux/nftables/mod.ts";
import type { NetworkRule } from "../../spec/network-rules.ts";
import type { ContainerLink, FirewallNetwork, PortMapping } from "../types.ts";
import { type Entry, linkEntry, networkEntries, portEntries } from "./sets.ts";

/** What an element of a set does, by the set's name without its family. */
const WHY: Readonly<Record<string, string>> = {
  bridges: "the rules look at packets of this bridge",
  internal: "nothing comes in or goes out",
  icc: "its containers reach one another",
  links: "a container reaches this port of another one",
  open: "packets of these protocols come in at its containers' own addresses",
  routed: "the port is reached at the container's own address",
  trusted: "the port is reached at the container's own address, through this interface",
  subnets: "packets from it that come back to it are told apart",
  masquerade: "what leaves has the host's address",
  sources: "what leaves has this address of the host",
  ports: "the host's port leads to the container's",
  "ports-at": "the port of this address of the host leads to the container's",
};

/** The elements of a network, of the ports that lead to its bridge, and of its links. */
export function describeRules(
  network: FirewallNetwork,
  ports: readonly PortMapping[],
  links: readonly ContainerLink[],
): NetworkRule[] {
  const isOwn = ({ bridge }: { bridge: string }) => bridge === network.bridge;
  const ofPorts = ports
    .filter(isOwn)
    .flatMap((port) => portEntries(port).map((entry) => describe(entry, port.address)));
  const ofLinks = links.filter(isOwn).map((link) => describe(linkEntry(link), link.to));
  return [...networkEntries(network).map((entry) => describe(entry)), ...ofPorts, ...ofLinks];
}

function describe({ set, element: { key, last, data } }: Entry, address?: string): NetworkRule {
  const fields = key.map((value, index) => {
    const type = set.key[index]!;
    const [first, end] = [formatField(type, value), formatField(type, last?.[index] ?? value)];
    return first === end ? first : `${first}-${end}`;
  });
  const target = (data ?? []).map((value, index) => formatField(set.data![index]!, value)).join(" . ");
  return {
    set: set.name,
    element: fields.join(" . ") + (target === "" ? "" : ` : ${target}`),
    why: WHY[set.name.replace(/[46](?=$|-)/, "")] ?? "",
    ...(address === undefined ? {} : { address }),
  };
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp" };

function formatField(type: DataType, value: Uint8Array): string {
  switch (type) {
    case "ifname":
      return `"${new TextDecoder().decode(value).replace(/\0+$/, "")}"`;
    case "ipv4_addr":
    case "ipv6_addr":
      return formatIpAddress(value);
    case "inet_proto":
      return PROTOCOL_NAMES[value[0]!] ?? String(value[0]);
    case "inet_service":
      return String(value[0]! * 256 + value[1]!);
  }
}
