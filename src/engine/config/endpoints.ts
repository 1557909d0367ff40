/** The networks a container is to be in, from what a client has sent. Pure. */
import { LighterError } from "../../base/errors.ts";
import {
  findIpAddress,
  formatIpAddress,
  inSubnet,
  parseIpAddress,
  parseSubnet,
  type Subnet,
} from "../../base/ip-address.ts";
import { parseMac } from "../../network/ipam/mod.ts";
import type { DockerContainerConfig, DockerEndpointSettings, DockerHostConfig } from "../../spec/docker-api.ts";
import { withContext } from "../errors.ts";
import type { EndpointRecord, EndpointWish } from "../networks/types.ts";
import { invalid } from "./errors.ts";
import { DEFAULT_NETWORK, parseNetworkMode } from "./namespaces.ts";

/**
 * Plans the endpoints of a new container, in the order given: those of the request, or else one in the network of its mode.
 * Whether these networks exist is checked at the start.
 * @throws LighterError "invalid", with Docker's texts where it has any
 */
export function planEndpoints(
  config: DockerContainerConfig,
  hostConfig: DockerHostConfig,
  given: Readonly<Record<string, DockerEndpointSettings>>,
): EndpointRecord[] {
  const mode = parseNetworkMode(hostConfig.NetworkMode);
  if (config.NetworkDisabled) return [];
  const main = mode.kind === "network" ? mode.name : mode.kind;
  // Of another container's network, the mode may say its id where the endpoint says its name.
  const isOwn = (name: string) => (mode.kind === "container" ? isContainers(name) : networkNameOf(name) === main);
  const others = Object.keys(given).filter((name) => !isOwn(name));
  if (others.length > 0 && mode.kind === "none") throw onlyInPrivate();
  if (others.length > 0 && (mode.kind === "host" || mode.kind === "container")) throw sharesNetwork();
  if (mode.kind === "container") {
    for (const [name, each] of Object.entries(given)) checkNewWish(parseWish(each, "", name), name, undefined);
    return [];
  }
  const settings = Object.entries(given).length === 0 ? [[main, {}] as const] : Object.entries(given);
  return settings.map(([name, each]) => {
    const networkName = networkNameOf(name);
    const isMain = networkName === main;
    return { networkId: "", networkName, wish: parseWish(each, isMain ? (config.MacAddress ?? "") : "", networkName) };
  });
}

/** Returns the name of a network; "" and "default" stand for the default network. */
export function networkNameOf(given: string): string {
  return given === "" || given === "default" ? DEFAULT_NETWORK : given;
}

/** Tells whether a network is not one of those that every host has: in it, containers find each other by name. */
export function isUserDefined(networkName: string): boolean {
  return ![DEFAULT_NETWORK, "default", "host", "none"].includes(networkName) && !isContainers(networkName);
}

/** Tells whether a network's name means the network of another container. */
function isContainers(networkName: string): boolean {
  return networkName.startsWith("container:");
}

export function onlyInPrivate() {
  return invalid("container cannot be connected to multiple networks with one of the networks in private (none) mode");
}

export function sharesNetwork() {
  return invalid(
    "container sharing network namespace with another container or host cannot be connected to any other network",
  );
}

/**
 * Parses what is asked of one endpoint. `containerMac`: the address asked for the container as a whole, which counts in its main
 * network.
 */
function parseWish(settings: DockerEndpointSettings, containerMac: string, networkName: string): EndpointWish {
  const wish = wishOf(settings);
  if (containerMac !== "" && wish.macAddress !== undefined && wish.macAddress !== containerMac)
    throw invalid(
      "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
    );
  const macAddress = wish.macAddress ?? containerMac;
  if (macAddress !== "") wish.macAddress = unicastMac(macAddress, `invalid config for network ${networkName}: `);
  return wish;
}

/** Returns the wish without its empty fields. */
function wishOf(settings: DockerEndpointSettings): EndpointWish {
  const { IPAMConfig, Links, Aliases, MacAddress, DriverOpts, GwPriority } = settings;
  const wish: EndpointWish = {};
  if (IPAMConfig?.IPv4Address) wish.ipv4Address = IPAMConfig.IPv4Address;
  if (IPAMConfig?.IPv6Address) wish.ipv6Address = shortest(IPAMConfig.IPv6Address);
  if (IPAMConfig?.LinkLocalIPs?.length) wish.linkLocalIPs = IPAMConfig.LinkLocalIPs;
  if (MacAddress) wish.macAddress = MacAddress;
  if (Links?.length) wish.links = Links;
  if (Aliases?.length) wish.aliases = Aliases;
  if (DriverOpts != null && Object.keys(DriverOpts).length > 0) wish.driverOpts = DriverOpts;
  if (GwPriority) wish.gatewayPriority = GwPriority;
  const given = { ipam: IPAMConfig, links: Links, aliases: Aliases, driverOpts: DriverOpts };
  const givenEmpty = (["ipam", "links", "aliases", "driverOpts"] as const).filter((key) => isGivenEmpty(given[key]));
  if (givenEmpty.length > 0) wish.givenEmpty = givenEmpty;
  for (const link of wish.links ?? []) parseLink(link);
  return wish;
}

function isGivenEmpty(value: object | null | undefined): boolean {
  return value != null && Object.values(value).every((each) => each == null || each.length === 0);
}

/** Shortens an address; leaves a wrong one to `checkWish`. */
function shortest(address: string): string {
  return isAddress(address, 6) ? formatIpAddress(parseIpAddress(address)) : address;
}

/**
 * Tells whether an interface can have this address: not the unspecified one, and not an IPv6 address that stands for one of IPv4.
 */
function isAddress(text: string, family: 4 | 6): boolean {
  const address = findIpAddress(text);
  if (address?.length !== (family === 4 ? 4 : 16)) return false;
  return address.some((byte) => byte !== 0) && !(family === 6 && inSubnet(MAPPED_IPV4, address));
}

const MAPPED_IPV4 = parseSubnet("::ffff:0:0/96");
const LINK_LOCAL = ["169.254.0.0/16", "fe80::/10"].map(parseSubnet);

/**
 * Checks link-local addresses, at a start or when a running container is connected, as with Docker. @throws LighterError
 * "invalid", with Docker's text
 */
export function requireLinkLocal({ linkLocalIPs = [] }: EndpointWish): void {
  for (const text of linkLocalIPs) {
    const address = parseIpAddress(text);
    if (!LINK_LOCAL.some((subnet) => subnet.address.length === address.length && inSubnet(subnet, address)))
      throw invalid(`invalid link local IP address: ${formatIpAddress(address)}`);
  }
}

/** Parses the wish of `network connect`. @throws LighterError "invalid" */
export function parseConnectWish(settings: DockerEndpointSettings): EndpointWish {
  const wish = wishOf(settings);
  if (wish.macAddress !== undefined) wish.macAddress = unicastMac(wish.macAddress, "");
  return wish;
}

/** Parses an interface's MAC address into the form that the kernel's tools write. @throws LighterError "invalid" */
function unicastMac(text: string, context: string): string {
  const address = parseMac(text);
  if (address === undefined) throw invalid(`${context}invalid MAC address ${text}`);
  if (Number.parseInt(address, 16) & 1) throw invalid(`${context}invalid MAC address ${text}: it is a group's`);
  return address;
}

/** Parses "name" or "name:alias". @throws LighterError "invalid", with Docker's texts */
export function parseLink(text: string): { name: string; alias: string } {
  if (text === "") throw invalid("empty string specified for links");
  const parts = text.split(":");
  if (parts.length > 2 || parts.some((part) => part === "")) throw invalid(`bad format for links: ${text}`);
  const [name = "", alias] = parts;
  // `inspect` writes links as "/db:/web/alias".
  return { name: name.replace(/^\//, ""), alias: alias?.slice(alias.lastIndexOf("/") + 1) ?? name.replace(/^\//, "") };
}

/** The facts about a network that a wish is checked against. */
interface WishedNetwork {
  name: string;
  /** The subnets that somebody asked for, masked. A subnet that was chosen by us may be another one later. */
  configuredSubnets: readonly string[];
}

/** Checks a wish as `checkWish`; errors name the network, as with Docker when a container is created. */
export function checkNewWish(wish: EndpointWish, networkName: string, network: WishedNetwork | undefined): void {
  try {
    checkWish(wish, networkName, network);
  } catch (error) {
    throw error instanceof LighterError ? withContext(`invalid config for network ${networkName}`, error) : error;
  }
}

/**
 * Checks a wish by itself and, if the network is known, against the network.
 * @throws LighterError "invalid", with Docker's texts
 */
export function checkWish(wish: EndpointWish, networkName: string, network: WishedNetwork | undefined): void {
  const problems: string[] = [];
  const addresses = [wish.ipv4Address, wish.ipv6Address].filter((address) => address !== undefined);
  if (!isUserDefined(networkName)) {
    if (addresses.length > 0) problems.push("user specified IP address is supported on user defined networks only");
    if (wish.aliases !== undefined)
      problems.push("network-scoped alias is supported only for containers in user defined networks");
  }
  if (wish.ipv4Address !== undefined && !isAddress(wish.ipv4Address, 4))
    problems.push(`invalid IPv4 address: ${wish.ipv4Address}`);
  if (wish.ipv6Address !== undefined && !isAddress(wish.ipv6Address, 6))
    problems.push(`invalid IPv6 address: ${wish.ipv6Address}`);
  for (const address of wish.linkLocalIPs ?? [])
    if (!isAddress(address, 4) && !isAddress(address, 6)) problems.push(`invalid link-local IP address: ${address}`);
  if (network !== undefined)
    for (const address of addresses) {
      const family = address === wish.ipv4Address ? 4 : 6;
      const subnets = network.configuredSubnets.map(parseSubnet).filter((subnet) => isOfFamily(subnet, family));
      if (subnets.length === 0)
        problems.push(
          "user specified IP address is supported only when connecting to networks with user configured subnets",
        );
      else if (!subnets.some((subnet) => isInSubnet(address, subnet)))
        problems.push(`no configured subnet or ip-range contain the IP address ${address}`);
    }
  if (problems.length === 0) return;
  const list = problems.length === 1 ? problems[0] : problems.map((problem) => `* ${problem}`).join("\n");
  throw invalid(`invalid endpoint settings:\n${list}`);
}

function isOfFamily({ address }: Subnet, family: 4 | 6): boolean {
  return (address.length === 4) === (family === 4);
}

function isInSubnet(address: string, subnet: Subnet): boolean {
  const bytes = findIpAddress(address);
  return bytes !== undefined && inSubnet(subnet, bytes);
}
