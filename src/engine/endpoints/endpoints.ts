/** What running containers have in networks: addresses, interfaces, names and published ports. */
import { readFileSync } from "node:fs";
import { LighterError, messageOf } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { PORTS_AT_ONCE } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { atOnce, inSlices, type Steps } from "../../base/slices.ts";
import { NameTable, RESOLVER_PORT, type Resolver } from "../../network/dns/mod.ts";
import { isAtLoopback } from "../../network/host-settings.ts";
import type { ContainerLink, PortMapping } from "../../network/types.ts";
import type { NetworkInterface, NetworkPlan } from "../../runtime/types.ts";
import {
  checkNewWish,
  checkWish,
  DEFAULT_NETWORK,
  isUserDefined,
  type PortWish,
  planPorts,
  planPortsInSteps,
  requireLinkLocal,
} from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { Containers } from "../containers.ts";
import { withContext } from "../errors.ts";
import type { EventBus } from "../events.ts";
import { bridgeNameOf, bridgeOptionsOf } from "../networks/bridge-options.ts";
import type { PreparedNetwork } from "../networks/networks.ts";
import { parentOptionsOf } from "../networks/parent-options.ts";
import type { ContainerNetworking, EndpointRecord, EndpointState, NetworkRecord } from "../networks/types.ts";
import type { HostNetwork } from "../plan/host-network.ts";
import type { EnginePaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/record.ts";
import { attempt, attemptInTurns } from "./attempt.ts";
import { changeHosts, planUpstream, usesResolver } from "./etc-files.ts";
import { planInterface, wishedInterfaceName } from "./interface.ts";
import { KeptAddresses } from "./kept-addresses.ts";
import { Leftovers } from "./leftovers.ts";
import { hasLegacyLinks, linkHosts, linksIn, linksOf } from "./links.ts";
import { linksByName, namedEndpoint } from "./names.ts";
import {
  type ActiveEndpoint,
  chooseGateways,
  freeInterfaceName,
  type Gateways,
  gatewaysThrough,
  inInterfaceOrder,
} from "./order.ts";
import type { NetworkPool } from "./parts.ts";
import {
  onHost,
  type PublishingBridge,
  type PublishTargets,
  publishTargets,
  redirectPorts,
  reservePorts,
} from "./publish.ts";

interface EndpointsOptions extends HostNetwork {
  networks: NetworkPool;
  events: EventBus;
  containers: Pick<Containers, "values" | "findIf">;
  paths: EnginePaths;
}

/** The facts about a container's networks that its start needs. */
interface StartNetwork {
  network?: NetworkPlan;
  /** Runs with init's pid before the process may run. */
  beforePivot?: (pid: number) => Promise<void>;
}

/** Objects that a running container has in addition to its row. */
interface Held {
  resolver: Resolver | undefined;
}

/**
 * Containers in networks: what a container has there from its start to its end. Everything it holds is in its row before the
 * kernel has it, and is given back after the end is in the row.
 *
 *   start   addresses and ports chosen, row, published ports, names, interfaces (by the container's program)
 *   end     row, names, published ports, addresses
 */
export class Endpoints implements Disposable {
  readonly options: EndpointsOptions;
  readonly names = new NameTable();
  /** What running containers have, by the container's id. */
  readonly #held = new Map<string, Held>();

  readonly #leftovers: Leftovers;
  readonly #kept = new KeptAddresses((networkId, state) =>
    attempt("release kept addresses", () =>
      this.options.networks.release(this.options.networks.find(networkId), state),
    ),
  );

  /** Finds a container by name, id or the beginning of an id; undefined if there is none. */
  readonly #findContainer = (ref: string) => this.options.containers.findIf(ref);

  constructor(options: EndpointsOptions) {
    this.options = options;
    this.#leftovers = new Leftovers({
      forgetConnections: (addresses) => options.firewall?.forgetConnections(addresses),
      unplug: (name) => options.host.unplug(name),
    });
  }

  /**
   * Checks the wishes of a new container: refuses those that can never be met, and writes each network's own name. A network that
   * does not exist yet may come until the start. @throws LighterError "invalid"
   */
  check({ networking }: ContainerRecord): void {
    for (const endpoint of networking.endpoints) {
      const network = this.#findIf(endpoint.networkName);
      if (network !== undefined) endpoint.networkName = network.name;
      const wished = network === undefined ? undefined : wishedNetwork(network);
      checkNewWish(endpoint.wish, endpoint.networkName, wished);
    }
  }

  #findIf(ref: string): NetworkRecord | undefined {
    try {
      return this.options.networks.find(ref);
    } catch {
      return undefined;
    }
  }

  // --- Start ---

  /**
   * Takes what the container is to have and writes it into its row, if that is more than a name. `started` or `end` must follow.
   * The container's queue is held. @throws LighterError, and then nothing is held
   */
  async begin(container: Container): Promise<StartNetwork> {
    const { record } = container;
    const { networks } = this.options;
    const wishes = await inSlices(planPortsInSteps(record.config, record.hostConfig));
    const active: ActiveEndpoint[] = [];
    const prepared = new Map<ActiveEndpoint, PreparedNetwork>();
    let ports: PortMapping[] = [];
    try {
      const taken = new Set<string>();
      for (const endpoint of this.#inOrder(record)) {
        const made = networks.prepare(this.networkOf(endpoint));
        // The default network's subnet is chosen only now, when somebody first needs it.
        const network = this.networkOf(endpoint);
        if (active.some((other) => other.network.id === network.id)) throw alreadyIn(network, record);
        const one = this.allocate(record, endpoint, network, made, taken);
        active.push(one);
        prepared.set(one, made);
      }
      this.forgetKept(record.id); // addresses in networks that the container has left
      const gateways = chooseGateways(active);
      const targets = publishTargets(gateways, (one) => bridgeOf(one.network, prepared.get(one)!));
      const interfaces = active.flatMap((one) => planOne(one, prepared.get(one)!, gateways) ?? []);
      const endpoints = [...active.map(({ endpoint }) => endpoint), ...this.#missing(record)];
      // Others have a turn while ports are reserved, and must see that the networks and addresses have a user.
      if (areMany(wishes)) container.change({ networking: { endpoints, ports: [] } });
      const reserving = this.#reserve(record, wishes, gateways, targets);
      ports = areMany(wishes) ? await inSlices(reserving) : atOnce(reserving);
      const networking = { endpoints, ports };
      // A daemon that comes back has to know at once of whatever the kernel has. The rest is written with the start.
      if (interfaces.length > 0) container.change({ networking });
      else container.remember({ networking });
      if (areMany(ports)) await inSlices(this.#publish(ports));
      else atOnce(this.#publish(ports));
      this.openLinks();
      this.#held.set(record.id, { resolver: undefined });
      this.addNames(record);
      return this.#startOf(container, interfaces);
    } catch (error) {
      const { networking } = record;
      container.remember({ networking: withoutStates(networking) });
      if (this.#held.has(record.id)) this.end(container, networking, false);
      else this.#giveBack({ endpoints: active.map(({ endpoint }) => endpoint), ports });
      throw error;
    }
  }

  #startOf(container: Container, interfaces: readonly NetworkInterface[]): StartNetwork {
    const needsResolver = usesResolver(container.record);
    if (interfaces.length === 0 && !needsResolver) return {};
    return {
      network: planOf(interfaces, needsResolver),
      ...(needsResolver ? { beforePivot: (pid) => this.openResolver(container, pid) } : {}),
    };
  }

  /** Returns what a start would get, with addresses that are free now. Takes and makes nothing. */
  preview(record: ContainerRecord): Pick<StartNetwork, "network"> {
    const active: ActiveEndpoint[] = [];
    try {
      const taken = new Set<string>();
      for (const endpoint of this.#inOrder(record)) {
        const network = this.networkOf(endpoint);
        active.push(this.allocate(record, endpoint, network, notPrepared(network), taken));
      }
    } finally {
      for (const { endpoint } of active) this.releaseEndpoint(endpoint);
    }
    const gateways = chooseGateways(active);
    const interfaces = active.flatMap((one) => planOne(one, notPrepared(one.network), gateways) ?? []);
    const needsResolver = active.some(({ endpoint }) => isUserDefined(endpoint.networkName));
    return interfaces.length === 0 ? {} : { network: planOf(interfaces, needsResolver) };
  }

  /** Returns the endpoints in the order of their interfaces. @throws LighterError "not-found" */
  #inOrder(record: ContainerRecord): EndpointRecord[] {
    const missing = this.#missing(record);
    const present = record.networking.endpoints.filter((each) => !missing.includes(each));
    return inInterfaceOrder(present, (each) => this.networkOf(each));
  }

  /**
   * Returns the endpoints in the default network if the settings want none: their containers have no interface, as with Docker.
   */
  #missing({ networking }: ContainerRecord): EndpointRecord[] {
    if (this.#findIf(DEFAULT_NETWORK) !== undefined) return [];
    return networking.endpoints.filter(({ networkName }) => networkName === DEFAULT_NETWORK);
  }

  /**
   * Finds an endpoint's network, by its id once it was found: a later network of the same name is another one, unless it is the
   * default one.
   */
  networkOf({ networkId, networkName }: EndpointRecord): NetworkRecord {
    const isNamed = networkId === "" || networkName === DEFAULT_NETWORK;
    return this.options.networks.find(isNamed ? networkName : networkId);
  }

  /** Chooses addresses and the names of an interface for a wish. `taken`: interface names, to which the new one is added. */
  allocate(
    container: Pick<ContainerRecord, "id" | "name">,
    endpoint: EndpointRecord,
    network: NetworkRecord,
    prepared: PreparedNetwork,
    taken: Set<string>,
  ): ActiveEndpoint {
    if (network.configOnly) throw new LighterError("forbidden", "cannot create endpoint on configuration-only network");
    checkWish(endpoint.wish, network.name, wishedNetwork(network));
    requireLinkLocal(endpoint.wish);
    if (network.driver === "ipvlan" && endpoint.wish.macAddress !== undefined)
      throw new LighterError(
        "internal",
        `failed to create endpoint ${container.name} on network ${network.name}: ipvlan interfaces do not support custom mac address assignment`,
      );
    const endpointId = randomId();
    if (prepared.kind === "none") {
      const state: EndpointState = { endpointId, interfaceName: "", hostInterface: "", macAddress: "" };
      return activeEndpoint(endpoint, network, state);
    }
    const prefix = prepared.kind === "bridge" ? bridgeOptionsOf(network).interfacePrefix : "";
    const interfaceName = wishedInterfaceName(endpoint.wish.driverOpts) ?? freeInterfaceName(taken, prefix || "eth");
    taken.add(interfaceName);
    const wish = this.#kept.wishFor(container.id, network.id, endpoint.wish);
    const addresses = this.options.networks.allocate(network, wish);
    this.#leftovers.settle(addressesOf(addresses));
    const hostInterface = prepared.kind === "bridge" ? `veth${endpointId.slice(0, HOST_NAME_DIGITS)}` : "";
    return activeEndpoint(endpoint, network, { ...addresses, endpointId, interfaceName, hostInterface });
  }

  /**
   * Returns the published ports that a running container has with these endpoints: they lead to where the default routes are.
   * Ports that could not be published so far are reserved. @throws LighterError as a start does
   */
  movedPorts(record: ContainerRecord, active: readonly ActiveEndpoint[]): PortMapping[] {
    const { ports } = record.networking;
    const wishes = () => planPorts(record.config, record.hostConfig);
    if (ports.length === 0 && wishes().length === 0) return ports;
    const gateways = chooseGateways(active);
    const targets = publishTargets(gateways, ({ network }) =>
      bridgeOf(network, this.options.networks.prepare(network)),
    );
    const moved = redirectPorts(ports, targets);
    const isMoved = moved.length > 0 || onHost(ports).length > 0;
    return isMoved ? moved : atOnce(this.#reserve(record, wishes(), gateways, targets));
  }

  /** Publishes `ports`, which are in the row by now, in place of `before`. @throws LighterError, and then all is as it was */
  async publishMoved(before: readonly PortMapping[], ports: readonly PortMapping[]): Promise<void> {
    const moving = this.#publishMoved(before, ports);
    if (areMany(before) || areMany(ports)) await inSlices(moving);
    else atOnce(moving);
  }

  *#publishMoved(before: readonly PortMapping[], ports: readonly PortMapping[]): Steps<void> {
    if (JSON.stringify(ports) === JSON.stringify(before)) return;
    yield* this.#unpublish(before);
    try {
      yield* this.#publish(ports);
    } catch (error) {
      yield* this.#unpublish(ports);
      yield* this.#publish(before);
      throw error;
    }
    this.releasePorts(before, ports);
  }

  /** Publishes `ports`, which are in the row by now. When it pauses some of them lead to the container. */
  *#publish(ports: readonly PortMapping[]): Steps<void> {
    for (const some of inBatches(ports)) {
      this.options.firewall?.publish(some);
      yield;
    }
    this.#routeLoopback(ports);
  }

  *#unpublish(ports: readonly PortMapping[]): Steps<void> {
    for (const some of inBatches(ports)) {
      this.options.firewall?.unpublish(some);
      yield;
    }
    this.#routeLoopback(ports);
  }

  /** Updates the ways from 127.0.0.1 after a change of rows: `ports` have been added or removed. */
  #routeLoopback(ports: readonly PortMapping[]): void {
    for (const bridge of new Set(ports.filter(isAtLoopback).map((port) => port.bridge))) {
      const isWanted = [...this.options.containers.values()].some(({ record }) =>
        record.networking.ports.some((port) => port.bridge === bridge && isAtLoopback(port)),
      );
      this.options.host.routeLoopback(bridge, isWanted);
    }
  }

  /** Releases those of `ports` that are not in `kept`. */
  releasePorts(ports: readonly PortMapping[], kept: readonly PortMapping[]): void {
    const keys = new Set(kept.map(hostPortKey));
    this.options.hostPorts.release(onHost(ports).filter((port) => !keys.has(hostPortKey(port))));
  }

  /** Reserves ports. `gateways`: an error names their endpoint, as Docker's does. */
  *#reserve(
    { name }: ContainerRecord,
    wishes: readonly PortWish[],
    gateways: Gateways,
    targets: PublishTargets,
  ): Steps<PortMapping[]> {
    try {
      return yield* reservePorts(wishes, targets, this.options.hostPorts);
    } catch (error) {
      const id = (gateways.ipv4 ?? gateways.ipv6)?.state.endpointId;
      const context = `driver failed programming external connectivity on endpoint ${name} (${id})`;
      throw error instanceof LighterError ? withContext(context, error) : error;
    }
  }

  async openResolver(container: Container, pid: number): Promise<void> {
    const held = this.#held.get(container.id);
    if (held === undefined || held.resolver !== undefined) return;
    held.resolver = await this.options.startResolver({
      networkNamespace: `/proc/${pid}/ns/net`,
      names: this.names.view(container.id),
      ...planUpstream(container.record, this.hasWayOut(container.record)),
    });
    if (this.#held.get(container.id) !== held) held.resolver[Symbol.dispose](); // the container has ended meanwhile
  }

  /** Tells the resolver when a running container's networks have changed, and with them perhaps whether it has a way out. */
  refreshUpstream(container: Container): void {
    const { record } = container;
    this.#held.get(record.id)?.resolver?.setUpstream(planUpstream(record, this.hasWayOut(record)));
  }

  /** Finishes a start that has succeeded. */
  started(container: Container): void {
    const { record } = container;
    for (const endpoint of record.networking.endpoints) this.publishEvent("connect", record.id, endpoint);
    for (const other of this.options.containers.values())
      if (other.isRunning && other !== container && hasLegacyLinks(other.record)) this.#relink(other, container);
  }

  /** Updates the lines about `linked`, which may have another address than when `container` was started. */
  #relink({ record }: Container, linked: Container): void {
    const links = linkHosts(linksOf(record, this.#findContainer).filter((link) => link.container === linked));
    if (links.length === 0) return;
    const names = new Set(links.map(([, each]) => each));
    attempt(`write names for container ${record.id}`, () =>
      changeHosts(this.options.paths.container(record.id).hosts, (_, each) => names.has(each), links),
    );
  }

  // --- End ---

  /** Returns the networking for a row whose process has ended; it is written before `end`. */
  static cleared(networking: ContainerNetworking): ContainerNetworking {
    return withoutStates(networking);
  }

  /**
   * Closes the ports of a process that has ended, while the row still says that it runs. If they are many, others have turns
   * meanwhile: then `end`, which nobody may interrupt, is short.
   */
  async closePorts({ networking: { ports } }: ContainerRecord): Promise<void> {
    if (areMany(ports)) await attemptInTurns("unpublish ports", () => inSlices(this.#unpublish(ports)));
  }

  /**
   * Gives back what the container has according to its row, which has the end by now. `wasStarted`: clients were told of its
   * networks. `keepsAddresses`: it starts anew at once, with the same ones.
   */
  end(
    { id }: Pick<Container, "id">,
    { endpoints, ports }: ContainerNetworking,
    wasStarted: boolean,
    keepsAddresses = false,
  ): void {
    const held = this.#held.get(id);
    this.#held.delete(id);
    attempt("close a resolver", () => held?.resolver?.[Symbol.dispose]());
    // If the run ended while there was no daemon, only what the kernel has is left.
    if (held !== undefined) this.#giveBack({ endpoints, ports }, keepsAddresses ? id : undefined);
    else this.clearLeftovers(endpoints);
    if (wasStarted)
      for (const endpoint of endpoints) if (endpoint.state !== undefined) this.publishEvent("disconnect", id, endpoint);
  }

  /** Gives everything back, and goes on after a failure: the next daemon puts right what is left. */
  #giveBack({ endpoints, ports }: ContainerNetworking, keeper?: string): void {
    attempt("unpublish ports", () => this.unpublish(ports));
    attempt("close links", () => this.openLinks());
    this.clearLeftovers(endpoints);
    for (const endpoint of endpoints) attempt("release addresses", () => this.releaseEndpoint(endpoint, keeper));
  }

  /** Clears what containers, or interfaces, that are gone have left in the kernel. */
  clearLeftovers(endpoints: readonly EndpointRecord[]): void {
    for (const { state } of endpoints)
      if (state !== undefined) this.#leftovers.add(addressesOf(state), state.hostInterface);
  }

  unpublish(ports: readonly PortMapping[]): void {
    if (ports.length === 0) return;
    try {
      atOnce(this.#unpublish(ports));
    } finally {
      this.options.hostPorts.release(onHost(ports));
    }
  }

  releaseEndpoint({ networkId, state }: EndpointRecord, keeper?: string): void {
    if (state === undefined) return;
    this.names.remove(state.endpointId);
    if (state.interfaceName === "") return;
    if (keeper !== undefined) this.#kept.keep(keeper, networkId, state);
    else this.options.networks.release(this.options.networks.find(networkId), state);
  }

  /** Gives back what was kept for a container's next start. */
  forgetKept(id: string): void {
    this.#kept.forget(id);
  }

  // --- Names, and what else others see ---

  /**
   * Lists the pairs of containers that are linked on a default network without icc: they reach one another's exposed ports,
   * others do not.
   */
  containerLinks(): ContainerLink[] {
    const network = this.#findIf(DEFAULT_NETWORK);
    if (network === undefined || bridgeOptionsOf(network).icc) return [];
    return linksIn(bridgeNameOf(network), this.options.containers.values(), this.#findContainer);
  }

  /** Updates the firewall after a change of linked containers. */
  openLinks(): void {
    const { firewall, host } = this.options;
    const network = this.#findIf(DEFAULT_NETWORK);
    if (firewall === undefined || network === undefined || bridgeOptionsOf(network).icc) return;
    const links = this.containerLinks();
    firewall.setLinks(links);
    host.forwardWithin(bridgeNameOf(network), links.length > 0);
  }

  addNames(record: ContainerRecord): void {
    for (const endpoint of record.networking.endpoints) {
      const internal = this.#findIf(endpoint.networkId)?.internal ?? false;
      const named = namedEndpoint(record, endpoint, internal, this.#findContainer);
      if (named !== undefined) this.names.add(named);
    }
  }

  /** Handles a container that is new or has another name: it may be the one that others link to. */
  namesChanged(container: Container): void {
    if (container.isRunning) this.addNames(container.record);
    for (const other of this.options.containers.values())
      if (other.isRunning && linksByName(other.record)) this.addNames(other.record);
  }

  publishEvent(action: "connect" | "disconnect", containerId: string, endpoint: EndpointRecord): void {
    const { networkId, networkName } = endpoint;
    const type = this.#driverOf(networkId);
    this.options.events.publish("network", action, networkId, { container: containerId, name: networkName, type });
  }

  #driverOf(networkId: string): string {
    return this.#findIf(networkId)?.driver ?? ""; // the network was removed meanwhile
  }

  /** Tells whether queries that nobody here can answer go out, which they do only if the container itself could send them. */
  hasWayOut(record: ContainerRecord): boolean {
    const { ipv4, ipv6 } = chooseGateways(this.active(record.networking));
    return ipv4 !== undefined || ipv6 !== undefined;
  }

  /** Returns the endpoints of a running container whose networks exist. */
  active({ endpoints }: ContainerNetworking): ActiveEndpoint[] {
    return endpoints.flatMap((endpoint) => {
      const { state } = endpoint;
      return state === undefined ? [] : [{ endpoint, state, network: this.networkOf(endpoint) }];
    });
  }

  // --- A daemon that comes back ---

  /** Takes over what a running container has from an earlier daemon, in memory. The container's queue is held. */
  async adopt(container: Container): Promise<void> {
    const { record } = container;
    this.#dropMissing(container);
    for (const endpoint of record.networking.endpoints)
      if (endpoint.state !== undefined && endpoint.state.interfaceName !== "")
        attempt(`take up network ${endpoint.networkName} of container ${record.id}`, () =>
          this.options.networks.claim(this.networkOf(endpoint), endpoint.state!),
        );
    attempt(`reserve ports of container ${record.id}`, () =>
      this.options.hostPorts.claim(onHost(record.networking.ports)),
    );
    this.#held.set(record.id, { resolver: undefined });
    this.addNames(record);
    if (!usesResolver(record)) return;
    try {
      await this.openResolver(container, record.pid);
    } catch (error) {
      log.error(`answer names for container ${record.id}: ${messageOf(error)}`);
    }
  }

  /** Drops endpoints without an interface, which a `connect` or `disconnect` has left when a daemon died. */
  #dropMissing(container: Container): void {
    const { record } = container;
    const inside = new Set(interfacesOf(record.pid));
    const isThere = ({ state }: EndpointRecord) =>
      state === undefined ||
      state.interfaceName === "" ||
      inside.has(state.interfaceName) ||
      (state.hostInterface !== "" && this.options.host.indexOf(state.hostInterface) !== undefined); // renamed inside the container
    const endpoints = record.networking.endpoints.filter(isThere);
    if (endpoints.length === record.networking.endpoints.length) return;
    container.remember({ networking: { ...record.networking, endpoints } });
    // The ports may lead to a dropped endpoint, or to where it had led them away from.
    attempt(`move ports of container ${record.id}`, () => {
      if (record.networking.ports.length === 0) return;
      const ports = this.movedPorts(record, this.active(record.networking));
      container.remember({ networking: { endpoints, ports } });
    });
  }

  /** Ends the work of this daemon; containers, and their published ports, run on. */
  [Symbol.dispose](): void {
    this.#leftovers[Symbol.dispose]();
    for (const { resolver } of this.#held.values()) resolver?.[Symbol.dispose]();
    this.#held.clear();
  }
}

function planOf(interfaces: readonly NetworkInterface[], needsResolver: boolean): NetworkPlan {
  return { interfaces, ...(needsResolver ? { resolverPort: RESOLVER_PORT } : {}) };
}

/** Describes a network before its links exist: they have no indexes yet. */
function notPrepared(network: NetworkRecord): PreparedNetwork {
  if (network.driver === "bridge") return { kind: "bridge", bridge: "", bridgeIndex: 0, mtu: 0 };
  const options = parentOptionsOf(network);
  return options === undefined
    ? { kind: "none" }
    : { kind: "parent", parent: "", parentIndex: 0, above: options.above, mtu: options.mtu };
}

/** An interface's name has at most 15 bytes, four of which are "veth". */
const HOST_NAME_DIGITS = 11;

function activeEndpoint(endpoint: EndpointRecord, network: NetworkRecord, state: EndpointState): ActiveEndpoint {
  const { id: networkId, name: networkName } = network;
  return { endpoint: { ...endpoint, networkId, networkName, state }, state, network };
}

export function alreadyIn({ name }: NetworkRecord, record: ContainerRecord): LighterError {
  return new LighterError("forbidden", `endpoint with name ${record.name} already exists in network ${name}`);
}

export function wishedNetwork({ name, givenPools }: NetworkRecord) {
  return { name, configuredSubnets: givenPools.map(({ subnet }) => subnet) };
}

/** Tells whether work on these ports is done in slices. */
function areMany(ports: readonly unknown[]): boolean {
  return ports.length > PORTS_AT_ONCE;
}

function* inBatches(ports: readonly PortMapping[]): Generator<readonly PortMapping[]> {
  for (let at = 0; at < ports.length; at += PORTS_AT_ONCE) yield ports.slice(at, at + PORTS_AT_ONCE);
}

/** Returns the bridge on which a network's ports are published; undefined if they are published nowhere. */
function bridgeOf(network: NetworkRecord, prepared: PreparedNetwork): PublishingBridge | undefined {
  if (prepared.kind !== "bridge") return undefined;
  return { ...bridgeOptionsOf(network), bridge: prepared.bridge };
}

/** Plans the interface of one endpoint; undefined if the network has no interfaces. */
export function planOne(
  one: ActiveEndpoint,
  prepared: PreparedNetwork,
  gateways: Gateways,
): NetworkInterface | undefined {
  return prepared.kind === "none" ? undefined : planInterface(one, prepared, gatewaysThrough(one, gateways));
}

export function addressesOf(state: Pick<EndpointState, "ipv4" | "ipv6"> | undefined): string[] {
  return [state?.ipv4?.address, state?.ipv6?.address].filter((address) => address !== undefined);
}

function hostPortKey({ protocol, hostAddress, hostPort }: PortMapping): string {
  return `${protocol} ${hostAddress} ${hostPort}`;
}

function withoutStates({ endpoints }: ContainerNetworking): ContainerNetworking {
  return { endpoints: endpoints.map(({ state: _, ...endpoint }) => endpoint), ports: [] };
}

/** Lists the interfaces in the network namespace of a process; none if it has ended. */
export function interfacesOf(pid: number): string[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/net/dev`, "utf8");
  } catch {
    return [];
  }
  return [...text.matchAll(/^\s*([^\s:|]+):/gm)].map((match) => match[1]!);
}
