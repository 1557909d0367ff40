/** From the ports a container wants published to mappings of ports that were chosen. */
import { isIPv4 } from "node:net";
import { LighterError } from "../../base/errors.ts";
import type { WantedPort } from "../../network/ports/mod.ts";
import type { PortMapping } from "../../network/types.ts";
import type { PortWish } from "../config/mod.ts";
import type { Gateways } from "./order.ts";
import type { HostPorts } from "./parts.ts";

/** Where a family's published ports lead to. */
export interface PublishTarget {
  address: string;
  bridge: string;
  /** The address of the host that a wish without one means; "": none of this family. */
  hostAddress: string;
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
  bridgeOf: (endpoint: NonNullable<Gateways["ipv4"]>) => { bridge: string; hostAddress: string } | undefined,
): PublishTargets {
  const target = (endpoint: Gateways["ipv4"], family: "ipv4" | "ipv6"): PublishTarget | undefined => {
    const address = endpoint?.state[family]?.address;
    const bridge = endpoint === undefined ? undefined : bridgeOf(endpoint);
    if (address === undefined || bridge === undefined) return undefined;
    return { address, bridge: bridge.bridge, hostAddress: defaultAddress(bridge.hostAddress, family) };
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
 * Reserves a port of the host for each wish. None for a container that no outside reaches.
 * @throws LighterError with Docker's texts for a port that is taken; "not-supported" for an address whose family it has not
 */
export function reservePorts(
  wishes: readonly PortWish[],
  targets: PublishTargets,
  hostPorts: HostPorts,
): PortMapping[] {
  if (wishes.length === 0 || (targets.ipv4 === undefined && targets.ipv6 === undefined)) return [];
  const wanted = wishes.map((wish): WantedPort => {
    return { protocol: wish.protocol, hostAddresses: hostAddressesOf(wish, targets), hostPort: wish.hostPorts ?? 0 };
  });
  const chosen = hostPorts.reserve(wanted);
  return wishes.flatMap(({ protocol, port }, index) =>
    wanted[index]!.hostAddresses.map((hostAddress) => {
      const { address, bridge } = targetOf(hostAddress, targets)!;
      return { protocol, hostAddress, hostPort: chosen[index]!, address, port, bridge };
    }),
  );
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

/** The same host ports, leading to other addresses of the container; those of a family it has no more are left out. */
export function redirectPorts(ports: readonly PortMapping[], targets: PublishTargets): PortMapping[] {
  return ports.flatMap((mapping) => {
    const target = targetOf(mapping.hostAddress, targets);
    return target === undefined ? [] : [{ ...mapping, address: target.address, bridge: target.bridge }];
  });
}
