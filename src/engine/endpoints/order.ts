/** In which order a container's interfaces are made, and which of them lead to the rest of the world. Pure. */
import { DEFAULT_NETWORK } from "../config/mod.ts";
import type { EndpointRecord, EndpointState, NetworkRecord } from "../networks/types.ts";

/** An endpoint of a container that runs, or is about to. */
export interface ActiveEndpoint {
  endpoint: EndpointRecord;
  state: EndpointState;
  network: NetworkRecord;
}

/** By priority, then the default network, then as they were given. */
export function inInterfaceOrder(endpoints: readonly EndpointRecord[]): EndpointRecord[] {
  const rank = ({ networkName, wish }: EndpointRecord) => [
    -(wish.gatewayPriority ?? 0),
    networkName === DEFAULT_NETWORK ? 0 : 1,
  ];
  return [...endpoints].sort((a, b) => {
    const [rankA, rankB] = [rank(a), rank(b)];
    return rankA[0]! - rankB[0]! || rankA[1]! - rankB[1]!;
  });
}

/** The lowest number that no interface has. */
export function freeInterfaceName(taken: ReadonlySet<string>, prefix: string): string {
  for (let index = 0; ; index++) if (!taken.has(`${prefix}${index}`)) return `${prefix}${index}`;
}

export interface Gateways {
  ipv4: ActiveEndpoint | undefined;
  ipv6: ActiveEndpoint | undefined;
}

/**
 * The endpoints whose gateways are the default routes: highest priority, then those that have routers, of both families first,
 * then by the network's name. Source: experiments with Docker 26; `GwPriority` is of 28.
 */
export function chooseGateways(active: readonly ActiveEndpoint[]): Gateways {
  const candidates = active.filter(({ network }) => !network.internal);
  const first = (has: (state: EndpointState) => boolean) =>
    candidates.filter(({ state }) => has(state)).sort(compareAsGateways)[0];
  return {
    ipv4: first(({ gateway4 }) => gateway4 !== undefined),
    ipv6: first(({ gateway6 }) => gateway6 !== undefined),
  };
}

function compareAsGateways(a: ActiveEndpoint, b: ActiveEndpoint): number {
  const priority = ({ endpoint }: ActiveEndpoint) => endpoint.wish.gatewayPriority ?? 0;
  const families = ({ state: { gateway4, gateway6 } }: ActiveEndpoint) =>
    gateway4 || gateway6 ? Number(gateway4 !== undefined && gateway6 !== undefined) : -1;
  const byName = a.network.name < b.network.name ? -1 : 1;
  return priority(b) - priority(a) || families(b) - families(a) || byName;
}

/** Of one endpoint: the default routes that go through it, as an interface's `gateways`. */
export function gatewaysThrough({ state }: ActiveEndpoint, { ipv4, ipv6 }: Gateways): string[] {
  const own: string[] = [];
  if (ipv4?.state === state) own.push(state.gateway4 || "0.0.0.0");
  if (ipv6?.state === state) own.push(state.gateway6 || "::");
  return own;
}
