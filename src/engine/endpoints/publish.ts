/** From the ports a container wants published to mappings of ports that were chosen. */
import { isIPv4 } from "node:net";
import { LighterError } from "../../base/errors.ts";
import type { Steps } from "../../base/slices.ts";
import type { WantedPort } from "../../network/ports/mod.ts";
import type { GatewayMode, PortMapping } from "../../network/types.ts";
import type { PortWish } from "../config/mod.ts";
import type { Gateways } from "./order.ts";
import type { HostPorts } from "./parts.ts";

/** Where a family's published ports lead to. */
interface PublishTarget {
  address: string;
  bridge: string;
  /** The address of the host that a wish without one means; "": none of this family. */
  hostAddress: string;
  /** The host has no part in it: the container's own address is reached. */
  isRouted: boolean;
  trustedInterfaces: readonly string[];
}

/** What of a bridge network matters to the ports of its containers. */
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
 * Ports are published on the endpoints that have the default routes, as with Docker: what comes from outside is answered that
 * way. `describe`: of an endpoint, undefined where nothing can be published (no bridge).
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

/** `hostBinding`: the network's, one address or all. */
function defaultAddress(hostBinding: string, family: "ipv4" | "ipv6"): string {
  if (["", ANY_ADDRESS.ipv4, ANY_ADDRESS.ipv6].includes(hostBinding)) return ANY_ADDRESS[family];
  return isIPv4(hostBinding) === (family === "ipv4") ? hostBinding : "";
}

/**
 * Reserves a port of the host for each wish: when it pauses some are reserved, if it fails none. Nothing for a container that no outside reaches.
 * @throws LighterError with Docker's texts for a port that is taken; "not-supported" for an address whose family it has not
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

/** A port of the container is opened once, however many ports of the host lead to it. */
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

/** Those that take a port of the host. */
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
 * The same host ports, leading to other addresses of the container; those of a family it has no more are left out, and so are
 * those that had none and are to have one now.
 */
export function redirectPorts(ports: readonly PortMapping[], targets: PublishTargets): PortMapping[] {
  return withoutTwins(
    ports.flatMap((mapping) => {
      const target = targetOf(mapping.hostAddress, targets);
      return target === undefined || (mapping.hostPort === 0 && !target.isRouted) ? [] : [mappingOf(mapping, target)];
    }),
  );
}
