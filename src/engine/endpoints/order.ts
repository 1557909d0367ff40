/** The order in which a container's interfaces are made, and which of them lead to the rest of the world. Pure. */
import { hasRouter } from "../networks/parent-options.ts";
import type { EndpointRecord, EndpointState, NetworkRecord } from "../networks/types.ts";

/** An endpoint of a container that runs, or is about to. */
export interface ActiveEndpoint {
  endpoint: EndpointRecord;
  state: EndpointState;
  network: NetworkRecord;
}

/**
 * Sorts endpoints as Docker does, so that what may be the way out is first: by priority; those without one last; those with
 * routers of both families first; by the network's name. `networkOf`: finds an endpoint's network.
 */
export function inInterfaceOrder(
  endpoints: readonly EndpointRecord[],
  networkOf: (endpoint: EndpointRecord) => NetworkRecord,
): EndpointRecord[] {
  const places = endpoints.map((endpoint) => ({ endpoint, network: networkOf(endpoint) }));
  const rank = ({ network }: (typeof places)[number]) => {
    if (network.internal) return -1;
    return Number(network.enableIPv4 && network.enableIPv6 && hasRouter(network));
  };
  return places.sort((a, b) => byPriority(a, b) || rank(b) - rank(a) || byName(a, b)).map(({ endpoint }) => endpoint);
}

const byPriority = (a: Pick<ActiveEndpoint, "endpoint">, b: Pick<ActiveEndpoint, "endpoint">) =>
  (b.endpoint.wish.gatewayPriority ?? 0) - (a.endpoint.wish.gatewayPriority ?? 0);
const byName = (a: Pick<ActiveEndpoint, "network">, b: Pick<ActiveEndpoint, "network">) =>
  a.network.name < b.network.name ? -1 : 1;

/** Returns a name with the lowest number that no interface has. */
export function freeInterfaceName(taken: ReadonlySet<string>, prefix: string): string {
  for (let index = 0; ; index++) if (!taken.has(`${prefix}${index}`)) return `${prefix}${index}`;
}

export interface Gateways {
  ipv4: ActiveEndpoint | undefined;
  ipv6: ActiveEndpoint | undefined;
}

/**
 * Chooses the endpoints whose gateways are the default routes: highest priority, then those that have routers, of both families
 * first, then by the network's name. Source: experiments with Docker 26; `GwPriority` is of 28.
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
  const families = ({ state: { gateway4, gateway6 } }: ActiveEndpoint) =>
    gateway4 || gateway6 ? Number(gateway4 !== undefined && gateway6 !== undefined) : -1;
  return byPriority(a, b) || families(b) - families(a) || byName(a, b);
}

/** Returns the default routes that go through one endpoint, as an interface's `gateways`. */
export function gatewaysThrough({ state }: ActiveEndpoint, { ipv4, ipv6 }: Gateways): string[] {
  const own: string[] = [];
  if (ipv4?.state === state) own.push(state.gateway4 || "0.0.0.0");
  if (ipv6?.state === state) own.push(state.gateway6 || "::");
  return own;
}
