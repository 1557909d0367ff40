/** Knows the names of containers in their networks. */
import type { NameAddresses, NameSource } from "./types.ts";

/** A running container's endpoint in a network with names, which is any but the default bridge. */
export interface NamedEndpoint {
  endpointId: string;
  containerId: string;
  networkId: string;
  networkName: string;
  /** True if the network has no way out. */
  internal?: boolean;
  /**
   * Names: the container's own first (addresses lead back to it), then aliases, short id and host name. Repeated names count
   * once.
   */
  names: readonly string[];
  /** Names that only this container knows for others: Docker's links. The others need not run, nor exist. */
  links?: readonly { alias: string; containerId: string }[];
  ipv4?: string;
  ipv6?: string;
}

/** One network's names. */
interface NetworkNames {
  name: string;
  /** Endpoints by name in small letters. */
  byName: Map<string, Set<NamedEndpoint>>;
  byAddress: Map<string, NamedEndpoint>;
}

/**
 * Who has which name in which network. It follows from the rows of running containers and can be rebuilt at any time. All lookups
 * are in memory.
 */
export class NameTable {
  readonly #endpoints = new Map<string, NamedEndpoint>();
  readonly #networks = new Map<string, NetworkNames>();
  /** A container's endpoints in the order in which they are asked. */
  readonly #byContainer = new Map<string, NamedEndpoint[]>();

  /** Adds an endpoint, replacing the one with this id: a renamed container is added again. */
  add(endpoint: NamedEndpoint): void {
    this.remove(endpoint.endpointId);
    this.#endpoints.set(endpoint.endpointId, endpoint);
    const network = this.#networks.get(endpoint.networkId) ?? {
      name: lower(endpoint.networkName),
      byName: new Map(),
      byAddress: new Map(),
    };
    this.#networks.set(endpoint.networkId, network);
    for (const name of endpoint.names) {
      const holders = network.byName.get(lower(name));
      if (holders === undefined) network.byName.set(lower(name), new Set([endpoint]));
      else holders.add(endpoint);
    }
    for (const address of addressesOf(endpoint)) network.byAddress.set(address, endpoint);
    const siblings = [...(this.#byContainer.get(endpoint.containerId) ?? []), endpoint];
    siblings.sort(compareEndpoints);
    this.#byContainer.set(endpoint.containerId, siblings);
  }

  /** Removes an endpoint; false if there was none. */
  remove(endpointId: string): boolean {
    const endpoint = this.#endpoints.get(endpointId);
    if (endpoint === undefined) return false;
    this.#endpoints.delete(endpointId);
    this.#removeFromNetwork(endpoint);
    const siblings = this.#byContainer.get(endpoint.containerId)?.filter((sibling) => sibling !== endpoint) ?? [];
    if (siblings.length === 0) this.#byContainer.delete(endpoint.containerId);
    else this.#byContainer.set(endpoint.containerId, siblings);
    return true;
  }

  #removeFromNetwork(endpoint: NamedEndpoint): void {
    const network = this.#networks.get(endpoint.networkId);
    if (network === undefined) return;
    for (const name of endpoint.names) {
      const holders = network.byName.get(lower(name));
      holders?.delete(endpoint);
      if (holders?.size === 0) network.byName.delete(lower(name));
    }
    for (const address of addressesOf(endpoint))
      if (network.byAddress.get(address) === endpoint) network.byAddress.delete(address);
    if (network.byName.size === 0 && network.byAddress.size === 0) this.#networks.delete(endpoint.networkId);
  }

  /** The names that a container sees: those in all its networks, at the time of each lookup. */
  view(containerId: string): NameSource {
    return {
      lookup: (name) => this.#lookup(containerId, lower(name)),
      reverse: (address) => this.#reverse(containerId, address),
    };
  }

  /**
   * Looks a name up. "a.b.c" is, in this order: "a.b.c" in any network, "a.b" in the network "c", "a" in the network "b.c". Of
   * several networks that know it, the first with an address of the family decides.
   */
  #lookup(containerId: string, name: string): NameAddresses | undefined {
    const mine = this.#byContainer.get(containerId) ?? [];
    for (let dot = name.length; dot !== -1; dot = dot === 0 ? -1 : name.lastIndexOf(".", dot - 1)) {
      const network = dot === name.length ? undefined : name.slice(dot + 1);
      const found = this.#lookupIn(mine, name.slice(0, dot), network);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #lookupIn(mine: readonly NamedEndpoint[], name: string, networkName?: string): NameAddresses | undefined {
    let found: NameAddresses | undefined;
    for (const endpoint of mine) {
      const network = this.#networks.get(endpoint.networkId);
      if (network === undefined || (networkName !== undefined && network.name !== networkName)) continue;
      const holders = this.#holders(endpoint, network, name);
      if (holders.length === 0) continue;
      const ipv4 = found?.ipv4.length ? found.ipv4 : distinct(holders.map((holder) => holder.ipv4));
      const ipv6 = found?.ipv6.length ? found.ipv6 : distinct(holders.map((holder) => holder.ipv6));
      found = { ipv4, ipv6 };
    }
    return found;
  }

  /**
   * The endpoints with a name. If links have the name, these are the containers to which they lead, and no others, running or
   * not.
   */
  #holders(from: NamedEndpoint, network: NetworkNames, name: string): NamedEndpoint[] {
    const linked = from.links?.filter(({ alias }) => lower(alias) === name) ?? [];
    if (linked.length === 0) return [...(network.byName.get(name) ?? [])];
    return linked.flatMap(({ containerId }) =>
      (this.#byContainer.get(containerId) ?? []).filter(({ networkId }) => networkId === from.networkId),
    );
  }

  #reverse(containerId: string, address: string): string | undefined {
    for (const { networkId } of this.#byContainer.get(containerId) ?? []) {
      const endpoint = this.#networks.get(networkId)?.byAddress.get(address);
      if (endpoint !== undefined) return `${endpoint.names[0]}.${endpoint.networkName}`;
    }
    return undefined;
  }
}

/** Orders a container's networks as Docker asks them: those with a way out first, then those with both families, then by name. */
function compareEndpoints(a: NamedEndpoint, b: NamedEndpoint): number {
  const rank = ({ internal, ipv4, ipv6 }: NamedEndpoint) =>
    (internal === true ? 2 : 0) + (ipv4 === undefined || ipv6 === undefined ? 1 : 0);
  return rank(a) - rank(b) || (a.networkName < b.networkName ? -1 : 1);
}

/** DNS names ignore case. (RFC 4343) */
function lower(name: string): string {
  return name.toLowerCase();
}

function addressesOf({ ipv4, ipv6 }: NamedEndpoint): string[] {
  return distinct([ipv4, ipv6]);
}

function distinct(addresses: readonly (string | undefined)[]): string[] {
  return [...new Set(addresses.filter((address) => address !== undefined))];
}
