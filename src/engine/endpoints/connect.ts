/** Connects a container to a network, or takes it out of one: `network connect` and `disconnect`. */
import { LighterError, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { RESOLVER_PORT } from "../../network/dns/mod.ts";
import type { DefaultGateway } from "../../runtime/types.ts";
import type { DockerEndpointSettings } from "../../spec/docker-api.ts";
import {
  checkWish,
  DEFAULT_NETWORK,
  isUserDefined,
  onlyInPrivate,
  ownHostNames,
  parseConnectWish,
  parseNetworkMode,
  sharesNetwork,
} from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { markedForRemoval } from "../errors.ts";
import type { ContainerNetworking, EndpointRecord, NetworkRecord } from "../networks/types.ts";
import { attempt, attemptInTurns } from "./attempt.ts";
import { addressesOf, alreadyIn, interfacesOf, planOne, wishedNetwork } from "./endpoints.ts";
import { changeHosts, hostsOf, useResolver } from "./etc-files.ts";
import { type ActiveEndpoint, chooseGateways, gatewaysThrough } from "./order.ts";

/**
 * Connects a container to a network. @throws LighterError with Docker's texts: "forbidden" if it is there already, "invalid",
 * "not-found"
 */
export function connectToNetwork(
  engine: Engine,
  container: Container,
  networkRef: string,
  settings: DockerEndpointSettings,
): Promise<void> {
  return container.queue.run(async () => {
    const { record } = container;
    if (record.status === "removing") throw markedForRemoval(record.id);
    const network = engine.networks.find(networkRef);
    const wish = parseConnectWish(settings);
    checkWish(wish, network.name, wishedNetwork(network));
    const known = record.networking.endpoints.find((endpoint) => isOf(endpoint, network));
    requireConnectable(record.networking, record.hostConfig.NetworkMode ?? "", network, known !== undefined);
    if (known !== undefined) {
      if (!container.isRunning) return;
      throw alreadyIn(network, record);
    }
    const endpoint: EndpointRecord = { networkId: network.id, networkName: network.name, wish };
    if (container.isRunning) await connectRunning(engine, container, endpoint, network);
    else {
      const networking = { ...record.networking, endpoints: [...record.networking.endpoints, endpoint] };
      container.change({ networking });
    }
  });
}

function isOf({ networkId, networkName }: EndpointRecord, { id, name }: NetworkRecord): boolean {
  return networkId === "" || name === DEFAULT_NETWORK ? networkName === name || networkName === id : networkId === id;
}

function requireConnectable(
  { endpoints }: ContainerNetworking,
  networkMode: string,
  network: NetworkRecord,
  isKnown: boolean,
): void {
  const { kind } = parseNetworkMode(networkMode);
  if (network.driver === "host" && kind !== "host") throw inHostNetwork();
  if (isKnown) return;
  if (kind === "container" || kind === "host") throw sharesNetwork();
  const others = endpoints.map(({ networkName }) => networkName);
  if (others.length > 0 && (network.name === "none" || others.includes("none"))) throw onlyInPrivate();
}

function inHostNetwork(): LighterError {
  return new LighterError("invalid", "container cannot be disconnected from host network or connected to host network");
}

/**
 * Connects a running container. The row is written first: a daemon that comes back in between finds that the interface is missing
 * and takes the endpoint out. A failure, for instance a port that somebody else has by now, leaves everything as it was.
 */
async function connectRunning(
  engine: Engine,
  container: Container,
  endpoint: EndpointRecord,
  network: NetworkRecord,
): Promise<void> {
  const { endpoints, runtime, networks } = engine;
  const { record } = container;
  const before = record.networking;
  const prepared = networks.prepare(network);
  const taken = new Set([
    ...interfacesOf(record.pid),
    ...before.endpoints.map(({ state }) => state?.interfaceName ?? ""),
  ]);
  const needsResolver = isUserDefined(network.name) && prepared.kind !== "none";
  await using undo = new AsyncDisposableStack();
  const added = endpoints.allocate(record, endpoint, network, prepared, taken);
  undo.defer(() => endpoints.releaseEndpoint(added.endpoint));
  const [activeBefore, active] = [endpoints.active(before), [...endpoints.active(before), added]];
  const ports = endpoints.movedPorts(record, active);
  undo.defer(() => endpoints.releasePorts(ports, before.ports));
  const after = { endpoints: [...before.endpoints, added.endpoint], ports };
  container.change({ networking: after }); // from now on the network has a user and cannot be removed
  undo.defer(() => void container.changeOrLater({ networking: before }));
  const planned = planOne(added, prepared, chooseGateways(active));
  if (planned !== undefined) {
    await runtime.connect({
      containerPid: record.pid,
      interface: planned,
      ...(needsResolver ? { resolverPort: RESOLVER_PORT } : {}),
    });
    const gateways = newGateways(active, activeBefore);
    undo.defer(async () => void (await runtime.disconnect({ containerPid: record.pid, name: planned.name, gateways })));
  }
  await endpoints.publishMoved(before.ports, ports);
  undo.move();
  attempt(`open links of container ${record.id}`, () => endpoints.openLinks());
  endpoints.addNames(record);
  attempt(`write names for container ${record.id}`, () => {
    const { hosts, resolvConf } = engine.paths.container(record.id);
    changeHosts(hosts, () => false, hostsOf(added.state, ownHostNames(record.config)));
    if (needsResolver) useResolver(record, resolvConf);
  });
  if (needsResolver) await openResolver(engine, container);
  endpoints.publishEvent("connect", record.id, added.endpoint);
}

async function openResolver(engine: Engine, container: Container): Promise<void> {
  const { endpoints } = engine;
  try {
    await endpoints.openResolver(container, container.record.pid);
    endpoints.refreshUpstream(container);
  } catch (error) {
    log.error(`answer names for container ${container.id}: ${messageOf(error)}`);
  }
}

/**
 * Takes a container out of a network. `force` changes nothing: what a container has is always known.
 * @throws LighterError with Docker's texts
 */
export function disconnectFromNetwork(engine: Engine, container: Container, networkRef: string): Promise<void> {
  return container.queue.run(async () => {
    const { record, isRunning } = container;
    if (record.status === "removing") throw markedForRemoval(record.id);
    const network = findIf(engine, networkRef);
    const endpoint = record.networking.endpoints.find((each) =>
      network === undefined ? each.networkName === networkRef || each.networkId === networkRef : isOf(each, network),
    );
    if (network === undefined && isRunning) engine.networks.find(networkRef); // throws if there is none
    if (network?.driver === "host" && endpoint !== undefined) throw inHostNetwork();
    if (endpoint === undefined)
      throw new LighterError(
        "internal",
        `container ${record.id} is not connected to ${isRunning ? "" : "the "}network ${network?.name ?? networkRef}`,
      );
    if (isRunning && endpoint.state !== undefined) await disconnectRunning(engine, container, endpoint);
    else {
      const networking = without(record.networking, endpoint);
      container.change({ networking });
    }
    if (network !== undefined)
      engine.endpoints.publishEvent("disconnect", record.id, { ...endpoint, networkId: network.id });
  });
}

function findIf(engine: Engine, ref: string): NetworkRecord | undefined {
  try {
    return engine.networks.find(ref);
  } catch (error) {
    if (error instanceof LighterError && error.code === "not-found") return undefined;
    throw error;
  }
}

function without({ endpoints, ports }: ContainerNetworking, endpoint: EndpointRecord): ContainerNetworking {
  return { endpoints: endpoints.filter((each) => each !== endpoint), ports };
}

/**
 * Disconnects a running container. The kernel comes first: an address in the row is given to nobody else, and the container has
 * it until then.
 */
async function disconnectRunning(engine: Engine, container: Container, endpoint: EndpointRecord): Promise<void> {
  const { endpoints, runtime } = engine;
  const { record } = container;
  const state = endpoint.state!;
  const after = without(record.networking, endpoint);
  if (state.interfaceName !== "") {
    const left = endpoints.active(after);
    await runtime.disconnect({
      containerPid: record.pid,
      name: state.interfaceName,
      gateways: newGateways(endpoints.active(record.networking), left),
    });
  }
  await forgetEndpoint(engine, container, endpoint);
  attempt(`write names for container ${record.id}`, () =>
    changeHosts(engine.paths.container(record.id).hosts, (address) => addressesOf(state).includes(address), []),
  );
  endpoints.refreshUpstream(container);
}

/** Returns the default routes that were another interface's before. */
function newGateways(before: readonly ActiveEndpoint[], after: readonly ActiveEndpoint[]): DefaultGateway[] {
  const [old, chosen] = [chooseGateways(before), chooseGateways(after)];
  const moved = (family: "ipv4" | "ipv6") =>
    chosen[family] !== undefined && chosen[family].endpoint !== old[family]?.endpoint;
  const gateways = {
    ipv4: moved("ipv4") ? chosen.ipv4 : undefined,
    ipv6: moved("ipv6") ? chosen.ipv6 : undefined,
  };
  return after.flatMap((one) =>
    gatewaysThrough(one, gateways).map((gateway) => ({ gateway, through: one.state.interfaceName })),
  );
}

/** Takes an endpoint whose interface is gone out of the row and gives back everything it had. The container's queue is held. */
async function forgetEndpoint(engine: Engine, container: Container, endpoint: EndpointRecord): Promise<void> {
  const { endpoints } = engine;
  const { record } = container;
  const before = record.networking;
  const after = without(before, endpoint);
  attempt(`publish ports of container ${record.id}`, () => {
    after.ports = endpoints.movedPorts(record, endpoints.active(after));
  });
  container.changeOrLater({ networking: after });
  await attemptInTurns(`publish ports of container ${record.id}`, () =>
    endpoints.publishMoved(before.ports, after.ports),
  );
  attempt(`close links of container ${record.id}`, () => endpoints.openLinks());
  endpoints.clearLeftovers([endpoint]);
  endpoints.releaseEndpoint(endpoint);
}
