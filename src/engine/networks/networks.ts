/** The networks of one host: from their creation to their removal. */
import { LighterError, messageOf } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { log } from "../../base/log.ts";
import { formatNow } from "../../base/time.ts";
import { writePoint } from "../../base/write-point.ts";
import { describeRules, type Firewall } from "../../network/firewall/mod.ts";
import { isAtLoopback } from "../../network/host-settings.ts";
import { type Cidr, formatCidr, localPoolV6, overlaps, parseCidr } from "../../network/ipam/mod.ts";
import type { AddressPool, ContainerLink, FirewallNetwork, PortMapping } from "../../network/types.ts";
import type { AboveLink } from "../../runtime/types.ts";
import type { NetworkRules } from "../../spec/network-rules.ts";
import type { EventBus } from "../events.ts";
import { AddressBook, type EndpointAddresses } from "./address-book.ts";
import { bridgeHas, bridgeNameOf, bridgeOptionsOf, DEFAULT_BRIDGE } from "./bridge-options.ts";
import { parseNetworkRequest } from "./create-request.ts";
import type { BridgePlan, NetworkHost } from "./host.ts";
import type { NetworkTable } from "./network-table.ts";
import { dummyNameOf, parentOptionsOf } from "./parent-options.ts";
import { planNetwork, planPools } from "./plan-network.ts";
import { defaultBridge, givenPoolsOf, isPredefined, type PredefinedNetwork, predefinedNetwork } from "./predefined.ts";
import type { NetworkSettings } from "./settings.ts";
import type { EndpointState, EndpointWish, NetworkRecord } from "./types.ts";

/** A running container in a network. */
export interface NetworkUser {
  containerId: string;
  containerName: string;
  state: EndpointState;
}

/** The bridge or parent that the interfaces of a network's containers are tied to. */
export type PreparedNetwork =
  | { kind: "bridge"; bridgeIndex: number; bridge: string; mtu: number }
  | { kind: "parent"; parentIndex: number; parent: string; above: AboveLink; mtu: number }
  /** The host's own namespace, or one with loopback alone. */
  | { kind: "none" };

/** The part of the firewall that networks need. */
export type NetworkFirewall = Pick<
  Firewall,
  "tableName" | "check" | "addNetwork" | "removeNetwork" | "guard" | "sync" | "remove" | "forgetConnectionsBut"
>;

interface NetworksOptions {
  table: NetworkTable;
  events: EventBus;
  settings: NetworkSettings;
  host: NetworkHost;
  /** The firewall; undefined if the settings want no rules. */
  firewall: NetworkFirewall | undefined;
  /** The random id of this installation. */
  installationId: string;
  /** The name of the bridge that we make for the default network. */
  ownBridgeName: string;
  usersOf(networkId: string): NetworkUser[];
  /** Returns the published ports of the containers that run. */
  publishedPorts(): readonly PortMapping[];
  containerLinks(): readonly ContainerLink[];
}

/**
 * The networks of one host.
 *
 *   network      a row: name, driver, pools of addresses; and, for the driver "bridge", a link and rules, made again if they are lost
 *   pool         a subnet with its range and gateway, from which endpoints get addresses
 *   endpoint     a container's place in a network: what it wishes, and the addresses that it has while it runs
 *   predefined   "bridge", "host" and "none": they follow the daemon's settings, and cannot be removed
 *
 * Life of a network: created (row, bridge, rules) → prepared for a start (`prepare`: the bridge is there) → addresses come and go
 * (`allocate`, `release`) → removed, which is refused while containers run in it.
 *
 *   const network = await networks.create({ Name: "front", Driver: "bridge" });
 *   const addresses = networks.allocate(network, wish); // written into the container's row by the caller
 *   const { bridgeIndex } = networks.prepare(network);  // for the container's interface
 *   networks.release(network, addresses);
 *   await networks.remove(network);
 *
 * Memory is a cache of the table. The order of writes, and what a crash in between leaves:
 *
 *   create   row, links, rules     a row without its links: `restore` makes them
 *   remove   row deleted, links    links that no row has: `restore` removes them
 *
 * Who has which address is in the containers' rows; they say so to `claim`.
 */
export class Networks {
  readonly #options: NetworksOptions;
  readonly #records = new Map<string, NetworkRecord>();
  readonly #addresses = new Map<string, AddressBook>();
  readonly #prepared = new Map<string, PreparedNetwork>();
  /** Removed networks whose links are not gone yet. */
  readonly #leaving = new Set<Promise<void>>();

  constructor(options: NetworksOptions) {
    this.#options = options;
  }

  get settings(): NetworkSettings {
    return this.#options.settings;
  }

  /** Reads the rows, and makes those of the predefined networks agree with the settings. Changes nothing on the host. */
  open(): void {
    for (const record of this.#options.table.all()) this.#records.set(record.id, record);
    const { host, ownBridgeName, settings } = this.#options;
    const bridge = settings.defaultBridge;
    if (bridge !== undefined) this.#openPredefined(defaultBridge(bridge, ownBridgeName, givenPoolsOf(bridge, host)));
    else for (const { id, options } of this.list()) if (Object.hasOwn(options, DEFAULT_BRIDGE)) this.#delete(id);
    this.#openPredefined(predefinedNetwork("host", "host"));
    this.#openPredefined(predefinedNetwork("none", "null"));
  }

  #openPredefined(wanted: PredefinedNetwork): void {
    const known = this.list().find(({ name }) => name === wanted.name);
    const { id, createdAt } = known ?? { id: randomId(), createdAt: formatNow() };
    const pools = wanted.driver !== "bridge" ? [] : this.#poolsOfDefault(wanted, known);
    const record = { ...wanted, id, createdAt, pools };
    if (known === undefined) this.#insert(record);
    else if (JSON.stringify(record) !== JSON.stringify(known)) this.#update(record);
  }

  /**
   * Returns the default network's pools: the same ones as long as there may be containers with addresses from them; then whatever
   * suits the host now.
   */
  #poolsOfDefault(wanted: PredefinedNetwork, known: NetworkRecord | undefined): readonly AddressPool[] {
    const isSame = known !== undefined && JSON.stringify(known.givenPools) === JSON.stringify(wanted.givenPools);
    if (isSame && this.#options.host.indexOf(bridgeNameOf(known)) !== undefined) return known.pools;
    try {
      const pools = this.#planPools(wanted, known);
      if (wanted.givenPools.length === 0) this.#tellAvoided(pools);
      return pools;
    } catch (error) {
      if (!(error instanceof LighterError)) throw error;
      log.warn(`the default network has no addresses: ${error.message}`);
      return []; // a daemon starts for those who use other networks, or none
    }
  }

  #tellAvoided(pools: readonly AddressPool[]): void {
    const { settings, host } = this.#options;
    const [first] = settings.addressPools;
    const subnet = pools[0]?.subnet ?? "";
    if (first === undefined || overlapping(subnet, parseRanges([first.base])).length > 0) return;
    const avoided = overlapping(first.base, parseRanges(host.usedRanges())).join(", ");
    if (avoided !== "") log.info("the default network avoids a subnet that the host uses", { subnet, avoided });
  }

  #insert(record: NetworkRecord): void {
    this.#options.table.insert(record);
    this.#records.set(record.id, record);
  }

  #update(record: NetworkRecord): void {
    this.#options.table.update(record);
    this.#records.set(record.id, record);
  }

  #delete(id: string): void {
    this.#options.table.delete(id);
    this.#records.delete(id);
    this.#addresses.delete(id);
    this.#prepared.delete(id);
  }

  /** Plans pools. `replaced`: a network that is gone when these are used. */
  #planPools(wanted: PredefinedNetwork, replaced?: NetworkRecord): AddressPool[] {
    const { settings, host, installationId } = this.#options;
    return planPools(wanted, {
      pools: [...settings.addressPools, localPoolV6(installationId)],
      hostRanges: parseRanges(host.usedRanges()),
      networks: this.list().filter((network) => network !== replaced),
    });
  }

  /**
   * Chooses other pools if these are in use on the host. The default network's subnet must be free when its bridge is made:
   * others may have come since this daemon looked.
   */
  #withFreePools(network: NetworkRecord): NetworkRecord {
    if (!isPredefined(network) || network.driver !== "bridge" || this.usersOf(network).length > 0) return network;
    const pools = this.#poolsOfDefault(network, network);
    if (JSON.stringify(pools) === JSON.stringify(network.pools)) return network;
    const moved = { ...network, pools };
    this.#update(moved);
    this.#addresses.delete(network.id);
    return moved;
  }

  /** Returns all networks, oldest first. */
  list(): NetworkRecord[] {
    return [...this.#records.values()];
  }

  /**
   * Finds a network by id, name, or the beginning of an id, in this order. @throws LighterError "not-found", "invalid" if
   * ambiguous
   */
  find(ref: string): NetworkRecord {
    const all = this.list();
    const exact = this.#records.get(ref) ?? all.find(({ name }) => name === ref);
    if (exact !== undefined) return exact;
    const matches = ref === "" ? [] : all.filter(({ id }) => id.startsWith(ref));
    if (matches.length > 1)
      throw new LighterError(
        "invalid",
        `network ${ref} is ambiguous (${matches.length} matches found based on ID prefix)`,
      );
    if (matches[0] === undefined) throw new LighterError("not-found", `network ${ref} not found`);
    return matches[0];
  }

  /** Returns the running containers in a network. */
  usersOf(network: NetworkRecord): NetworkUser[] {
    return this.#options.usersOf(network.id);
  }

  // --- Create, remove ---

  /** Creates a network. `body`: the request's JSON. The links exist when it returns. @throws LighterError, with Docker's texts */
  async create(body: unknown): Promise<NetworkRecord> {
    const request = parseNetworkRequest(body, this.#options.settings.defaultOptions);
    await Promise.all(this.#leaving); // one of them may have the bridge's name
    const plan = planNetwork(request, this.list());
    const pools = plan.configOnly ? [] : this.#planPools(plan);
    const record = { ...plan, id: randomId(), createdAt: formatNow(), pools };
    this.#insert(record);
    try {
      this.prepare(record);
      writePoint("made network");
    } catch (error) {
      this.#delete(record.id);
      await this.#unmake(record);
      throw error;
    }
    this.#publish("create", record);
    return record;
  }

  /**
   * Removes a network. Nobody finds it any more from here on; its links are gone when it resolves.
   * @throws LighterError "forbidden" for a predefined one, and while containers that run are in it, or networks are made from it
   */
  async remove(network: NetworkRecord): Promise<void> {
    const { name, id } = network;
    if (isPredefined(network))
      throw new LighterError("forbidden", `${name} is a pre-defined network and cannot be removed`);
    if (this.usersOf(network).length > 0)
      throw new LighterError(
        "forbidden",
        `error while removing network: network ${name} id ${id} has active endpoints`,
      );
    if (network.configOnly && this.list().some(({ configFrom }) => configFrom === name))
      throw new LighterError(
        "forbidden",
        `error while removing network: configuration network ${JSON.stringify(name)} is in use`,
      );
    this.#delete(id);
    await this.#unmake(network);
    this.#publish("destroy", network);
  }

  /** Removes links and rules. What cannot be removed now, the next daemon removes. */
  async #unmake(network: NetworkRecord): Promise<void> {
    const unmade = this.#removeLinksAndRules(network);
    this.#leaving.add(unmade);
    await unmade;
    this.#leaving.delete(unmade);
  }

  async #removeLinksAndRules(network: NetworkRecord): Promise<void> {
    const { host, firewall } = this.#options;
    try {
      await host.removeLinks(network.id);
      writePoint("removed links of network");
      if (network.driver === "bridge") firewall?.removeNetwork(bridgeNameOf(network));
    } catch (error) {
      log.error(`remove what is left of network "${network.name}": ${messageOf(error)}`);
    }
  }

  /** Tells whether nobody needs the network. */
  isDangling(network: NetworkRecord): boolean {
    return !isPredefined(network) && this.usersOf(network).length === 0;
  }

  #publish(action: "create" | "destroy", { id, name, driver }: NetworkRecord): void {
    this.#options.events.publish("network", action, id, { name, type: driver });
  }

  // --- Addresses ---

  /** Takes addresses that nobody else has until `release`. @throws LighterError "forbidden", "unavailable" */
  allocate(network: NetworkRecord, wish: EndpointWish): EndpointAddresses {
    return this.#bookOf(network).allocate(wish);
  }

  /** Gives back what `allocate` gave, or what `claim` took. */
  release(network: NetworkRecord, addresses: Pick<EndpointAddresses, "ipv4" | "ipv6">): void {
    this.#bookOf(network).release(addresses);
  }

  /** Takes the addresses that a running container has already, for a daemon that comes back. */
  claim(network: NetworkRecord, addresses: Pick<EndpointAddresses, "ipv4" | "ipv6">): void {
    this.#bookOf(network).claim(addresses);
  }

  #bookOf(network: NetworkRecord): AddressBook {
    const known = this.#addresses.get(network.id);
    if (known !== undefined) return known;
    const book = new AddressBook(this.#records.get(network.id) ?? network);
    this.#addresses.set(network.id, book);
    return book;
  }

  // --- Links ---

  /**
   * Makes the links of the networks that are in use, as after a boot, and removes those that no row tells of. A network whose
   * links cannot be made exists all the same: a start in it fails, and says why.
   */
  async restore(): Promise<void> {
    const { host } = this.#options;
    const owners = new Set(host.ownersOfLinks());
    await Promise.all([...owners].filter((owner) => !this.#records.has(owner)).map((owner) => host.removeLinks(owner)));
    const hostRanges = parseRanges(host.usedRanges());
    for (const network of this.list()) {
      const isInUse = owners.has(network.id) || this.usersOf(network).length > 0;
      if (isPredefined(network) && !isInUse) continue; // made at its first container
      if (!owners.has(network.id)) warnOfOverlaps(network, hostRanges);
      try {
        this.prepare(network);
      } catch (error) {
        log.warn(`make network "${network.name}" again: ${messageOf(error)}`);
      }
    }
    this.#restoreFirewall();
  }

  /** Writes the rules, which exist only if something needs them. */
  #restoreFirewall(): void {
    const { host, firewall } = this.#options;
    if (firewall === undefined) return;
    const forwardedByUs = host.enableForwarding({ ipv4: false, ipv6: false });
    firewall.guard(forwardedByUs);
    const isNeeded = this.firewallNetworks().length > 0 || forwardedByUs.ipv4 || forwardedByUs.ipv6;
    try {
      if (isNeeded) {
        this.syncFirewall();
        firewall.forgetConnectionsBut(this.#addressesInUse());
      } else firewall.remove();
    } catch (error) {
      // If there can be no rules, there are none of an earlier daemon either.
      if (isNeeded) log.error(`write the rules of networks: ${messageOf(error)}`);
    }
  }

  /** Returns the addresses of gateways and of containers that run. */
  #addressesInUse(): string[] {
    return this.list().flatMap((network) => [
      ...network.pools.map(({ gateway }) => gateway).filter((address) => address !== ""),
      ...this.usersOf(network).flatMap(({ state: { ipv4, ipv6 } }) => [ipv4, ipv6].flatMap((at) => at?.address ?? [])),
    ]);
  }

  /** Makes the rules right: an earlier daemon has left others, or somebody has changed them. */
  syncFirewall(): void {
    this.#options.firewall?.sync(
      this.firewallNetworks(),
      this.#options.publishedPorts(),
      this.#options.containerLinks(),
    );
  }

  /** Makes the link that containers of the network are tied to, if it does not exist. @throws LighterError */
  prepare(network: NetworkRecord): PreparedNetwork {
    const known = this.#prepared.get(network.id);
    if (known !== undefined && this.#isThere(known)) return known;
    const prepared = this.#make(this.#withFreePools(network));
    this.#prepared.set(network.id, prepared);
    return prepared;
  }

  /** Tells whether a link still exists; somebody may have removed it. */
  #isThere(prepared: PreparedNetwork): boolean {
    if (prepared.kind === "none") return true;
    const [name, index] =
      prepared.kind === "bridge" ? [prepared.bridge, prepared.bridgeIndex] : [prepared.parent, prepared.parentIndex];
    return this.#options.host.indexOf(name) === index;
  }

  #make(network: NetworkRecord): PreparedNetwork {
    const { host, firewall, settings } = this.#options;
    switch (network.driver) {
      case "bridge": {
        const plan = this.#planBridge(network);
        firewall?.check();
        const { index, mtu } = host.ensureBridge(plan);
        if (settings.forwarding && !network.internal) {
          const forwardedByUs = host.enableForwarding({ ipv4: network.enableIPv4, ipv6: network.enableIPv6 });
          firewall?.guard(forwardedByUs);
        }
        firewall?.addNetwork(this.#firewallNetwork(network));
        return { kind: "bridge", bridgeIndex: index, bridge: plan.name, mtu };
      }
      case "ipvlan":
      case "macvlan": {
        const { parent, above, mtu } = parentOptionsOf(network)!;
        const plan = { name: parent || dummyNameOf(network), isDummy: parent === "", networkId: network.id };
        const link = host.ensureParent(plan);
        return { kind: "parent", parentIndex: link.index, parent: link.name, above, mtu };
      }
      case "host":
      case "null":
        return { kind: "none" };
    }
  }

  #planBridge(network: NetworkRecord): BridgePlan {
    if (network.pools.length === 0)
      throw new LighterError(
        "unavailable",
        `network ${network.name} has no addresses: all of the default pools are in use`,
      );
    const options = bridgeOptionsOf(network);
    const { isDefault, mtu, bridgeName } = options;
    const isForeign = isDefault && this.#options.settings.defaultBridge?.foreignName !== undefined;
    const isNamed = !isDefault && bridgeName !== "";
    const name = bridgeNameOf(network);
    return {
      name,
      networkId: network.id,
      foreign: isForeign ? "only" : isNamed ? "yes" : "no",
      addresses: network.pools.flatMap(({ subnet, gateway }) => {
        const { family, prefixLength } = parseCidr(subnet)!;
        return bridgeHas(family, options) ? [{ address: gateway, prefixLength }] : [];
      }),
      mtu,
      enableIPv6: network.enableIPv6 && bridgeHas(6, options),
      loopback: this.#options.publishedPorts().some((port) => port.bridge === name && isAtLoopback(port)),
    };
  }

  #firewallNetwork(network: NetworkRecord): FirewallNetwork {
    const { icc, masquerade, hostAddresses, gatewayModes } = bridgeOptionsOf(network);
    const { firewall, firewall6 } = this.#options.settings;
    return {
      bridge: bridgeNameOf(network),
      subnets: network.pools
        .map(({ subnet }) => subnet)
        .filter((subnet) => (subnet.includes(":") ? firewall6 : firewall)),
      internal: network.internal,
      icc,
      masquerade,
      hostAddresses,
      gatewayModes,
    };
  }

  /** Returns what the firewall's table has for a network, and for the ports that lead to its containers. */
  rulesOf(network: NetworkRecord): NetworkRules {
    const { firewall, publishedPorts, containerLinks } = this.#options;
    if (firewall === undefined || this.#prepared.get(network.id)?.kind !== "bridge") return { table: "", rules: [] };
    const rules = describeRules(this.#firewallNetwork(network), publishedPorts(), containerLinks());
    return { table: `inet ${firewall.tableName}`, rules };
  }

  /** Returns the networks that have a bridge now: what the firewall's table must say of networks. */
  firewallNetworks(): FirewallNetwork[] {
    return this.list()
      .filter(({ id }) => this.#prepared.get(id)?.kind === "bridge")
      .map((network) => this.#firewallNetwork(network));
  }
}

function parseRanges(texts: readonly string[]): Cidr[] {
  return texts.flatMap((text) => parseCidr(text) ?? []);
}

/** Returns the ranges that have addresses of the subnet, each once. */
function overlapping(subnet: string, ranges: readonly Cidr[]): string[] {
  const own = parseCidr(subnet)!;
  return [...new Set(ranges.filter((range) => overlaps(range, own)).map(formatCidr))];
}

/** Warns if somebody else has the subnet of a network that is made anew: after a boot it may be another engine. */
function warnOfOverlaps({ name, driver, pools }: NetworkRecord, hostRanges: readonly Cidr[]): void {
  if (driver !== "bridge") return; // subnets of the other drivers are often the host's own networks
  for (const { subnet } of pools) {
    const others = overlapping(subnet, hostRanges).join(", ");
    if (others !== "") log.warn("a network has a subnet that the host uses as well", { network: name, subnet, others });
  }
}
