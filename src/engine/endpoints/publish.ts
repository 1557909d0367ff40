/** Turns the ports that a container wants published into mappings with chosen ports. */
import { isIPv4 } from "node:net";
import { LighterError } from "../../base/errors.ts";
import type { Steps } from "../../base/slices.ts";
import type { WantedPort } from "../../network/ports/mod.ts";
import type { GatewayMode, PortMapping } from "../../network/types.ts";
import type { PortWish } from "../config/mod.ts";
import type { Gateways } from "./order.ts";
import type { HostPorts } from "./parts.ts";

/** The place where a family's published ports lead. */
interface PublishTarget {
  address: string;
  bridge: string;
  /** The host's address for a wish without one; "": none of this family. */
  hostAddress: string;
  /** True if the host has no part in it: the container's own address is reached. */
  isRouted: boolean;
  trustedInterfaces: readonly string[];
}

/** The facts about a bridge network that matter to the ports of its containers. */
export interface PublishingBridge {
  bridge: string;
  hostBinding: string;
  gatewayModes: Readonly<Record<"ipv4" | "ipv6", GatewayMode>>;
  trustedInterfaces: readonly string[];
}

export interface PublishTargets {
  ipv4: PublishTarget | undefined;
  ipv6: PublishTarget | undefined;
}

/**
 * Chooses where published ports lead: to the endpoints that have the default routes, as with Docker, so that what comes from
 * outside is answered that way. `describe`: the bridge of an endpoint, undefined if nothing can be published (no bridge).
 */
export function publishTargets(
  gateways: Gateways,
  bridgeOf: (endpoint: NonNullable<Gateways["ipv4"]>) => PublishingBridge | undefined,
): PublishTargets {
  const target = (endpoint: Gateways["ipv4"], family: "ipv4" | "ipv6"): PublishTarget | undefined => {
    const address = endpoint?.state[family]?.address;
    const found = endpoint === undefined ? undefined : bridgeOf(endpoint);
    if (address === undefined || found === undefined) return undefined;
    const { bridge, hostBinding, gatewayModes, trustedInterfaces } = found;
    const isRouted = gatewayModes[family] === "routed";
    return { address, bridge, hostAddress: defaultAddress(hostBinding, family), isRouted, trustedInterfaces };
  };
  return { ipv4: target(gateways.ipv4, "ipv4"), ipv6: target(gateways.ipv6, "ipv6") };
}

const ANY_ADDRESS = { ipv4: "0.0.0.0", ipv6: "::" };

/** Returns the address at which ports are published by default. `hostBinding`: the network's, one address or all. */
function defaultAddress(hostBinding: string, family: "ipv4" | "ipv6"): string {
  if (["", ANY_ADDRESS.ipv4, ANY_ADDRESS.ipv6].includes(hostBinding)) return ANY_ADDRESS[family];
  return isIPv4(hostBinding) === (family === "ipv4") ? hostBinding : "";
}

/**
 * Reserves a port of the host for each wish: when it pauses some are reserved, if it fails none. It does nothing for a container
 * that cannot be reached from outside.
 * @throws LighterError with Docker's texts for a port that is taken; "not-supported" for an address whose family the container
 * lacks
 */
export function* reservePorts(
  wishes: readonly PortWish[],
  targets: PublishTargets,
  hostPorts: HostPorts,
): Steps<PortMapping[]> {
  if (wishes.length === 0 || (targets.ipv4 === undefined && targets.ipv6 === undefined)) return [];
  const addresses = wishes.map((wish) => hostAddressesOf(wish, targets));
  const isOnHost = (hostAddress: string) => !targetOf(hostAddress, targets)!.isRouted;
  yield;
  const wanted = wishes.map(({ protocol, hostPorts }, index): WantedPort => {
    return { protocol, hostAddresses: addresses[index]!.filter(isOnHost), hostPort: hostPorts ?? 0 };
  });
  const reserved = wanted.filter(({ hostAddresses }) => hostAddresses.length > 0);
  const numbers = yield* hostPorts.reserve(reserved);
  const chosen = new Map(numbers.map((port, index) => [reserved[index]!, port]));
  return withoutTwins(
    wishes.flatMap(({ protocol, port }, index) =>
      addresses[index]!.map((hostAddress) => {
        const hostPort = isOnHost(hostAddress) ? chosen.get(wanted[index]!)! : 0;
        return mappingOf({ protocol, port, hostPort, hostAddress }, targetOf(hostAddress, targets)!);
      }),
    ),
  );
}

function mappingOf(
  { protocol, port, hostPort, hostAddress }: Pick<PortMapping, "protocol" | "port" | "hostPort" | "hostAddress">,
  { address, bridge, isRouted, trustedInterfaces }: PublishTarget,
): PortMapping {
  const family = isIPv4(address) ? "ipv4" : "ipv6";
  const place = isRouted ? { hostAddress: ANY_ADDRESS[family], hostPort: 0 } : { hostAddress, hostPort };
  return {
    protocol,
    ...place,
    address,
    port,
    bridge,
    ...(trustedInterfaces.length === 0 || isRouted ? {} : { trustedInterfaces }),
  };
}

/** Removes duplicates: a port of the container is opened once, however many ports of the host lead to it. */
function withoutTwins(ports: readonly PortMapping[]): PortMapping[] {
  const opened = new Set<string>();
  return ports.flatMap((mapping) => {
    const { trustedInterfaces, ...plain } = mapping;
    if (trustedInterfaces === undefined && plain.hostPort !== 0) return [plain];
    const key = `${plain.protocol} ${plain.address} ${plain.port}`;
    const isFirst = !opened.has(key);
    opened.add(key);
    if (isFirst) return [mapping];
    return plain.hostPort === 0 ? [] : [plain];
  });
}

/** Returns the mappings that take a port of the host. */
export function onHost(ports: readonly PortMapping[]): PortMapping[] {
  return ports.filter(({ hostPort }) => hostPort !== 0);
}

function hostAddressesOf({ hostAddress, port, protocol }: PortWish, targets: PublishTargets): string[] {
  if (hostAddress === "")
    return [targets.ipv4?.hostAddress, targets.ipv6?.hostAddress].filter(
      (address) => address !== undefined && address !== "",
    ) as string[];
  if (targetOf(hostAddress, targets) !== undefined) return [hostAddress];
  throw new LighterError(
    "not-supported",
    `publish port ${port}/${protocol} at ${hostAddress}: the container has no address of that family`,
  );
}

function targetOf(hostAddress: string, { ipv4, ipv6 }: PublishTargets): PublishTarget | undefined {
  return isIPv4(hostAddress) ? ipv4 : ipv6;
}

/**
 * Points the same host ports to other addresses of the container. Ports of a family that it no longer has are left out, and so
 * are those that had no host port and now need one.
 */
export function redirectPorts(ports: readonly PortMapping[], targets: PublishTargets): PortMapping[] {
  return withoutTwins(
    ports.flatMap((mapping) => {
      const target = targetOf(mapping.hostAddress, targets);
      return target === undefined || (mapping.hostPort === 0 && !target.isRouted) ? [] : [mappingOf(mapping, target)];
    }),
  );
}
