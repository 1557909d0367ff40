/** The host's side of networks in memory, for tests whose containers have no processes. */
import { LighterError } from "../../src/base/errors.ts";
import type { Steps } from "../../src/base/slices.ts";
import type { HostPorts, PortFirewall } from "../../src/engine/endpoints/parts.ts";
import type { NameSource, Resolver, ResolverOptions } from "../../src/network/dns/mod.ts";
import type { HostPort, WantedPort } from "../../src/network/ports/mod.ts";
import type { FirewallNetwork, PortMapping } from "../../src/network/types.ts";
import { FakeNetworkHost } from "./fake-network-host.ts";

/** The links, including the containers' own, which the kernel would make. */
class FakeLinks extends FakeNetworkHost {
  override indexOf(name: string): number | undefined {
    return name.startsWith("veth") ? 1 : super.indexOf(name);
  }
}

export class FakeFirewall implements PortFirewall {
  readonly tableName = "own";
  readonly networks = new Map<string, FirewallNetwork>();
  readonly ports = new Set<string>();
  readonly forgotten: string[] = [];
  /** The error with which the next publish fails. */
  failure: Error | undefined;

  check(): void {}

  addNetwork(network: FirewallNetwork): void {
    this.networks.set(network.bridge, network);
  }

  sync(networks: readonly FirewallNetwork[], ports: readonly PortMapping[]): void {
    this.networks.clear();
    for (const network of networks) this.addNetwork(network);
    this.ports.clear();
    this.publish(ports);
  }

  guard(): void {}

  remove(): void {}

  /** Watches nothing: nobody else changes the rules. */
  watch(): Disposable {
    return { [Symbol.dispose]() {} };
  }

  removeNetwork(bridge: string): void {
    this.networks.delete(bridge);
  }

  publish(ports: readonly PortMapping[]): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    for (const port of ports) this.ports.add(describePort(port));
  }

  setLinks(): void {}

  unpublish(ports: readonly PortMapping[]): void {
    for (const port of ports) this.ports.delete(describePort(port));
  }

  forgetConnections(addresses: readonly string[]): void {
    this.forgotten.push(...addresses);
  }

  forgetConnectionsBut(): void {}
}

/** The mapping as text: "0.0.0.0:8080/tcp -> 172.17.0.2:80". */
export function describePort({ hostAddress, hostPort, protocol, address, port }: PortMapping): string {
  return `${hostAddress}:${hostPort}/${protocol} -> ${address}:${port}`;
}

const FIRST_FREE_PORT = 32768;

/** Ports of the host. Each address has its own ports: "0.0.0.0" and "127.0.0.1" do not conflict here. */
export class FakeHostPorts implements HostPorts {
  readonly taken = new Set<string>();

  *reserve(wanted: readonly WantedPort[]): Steps<number[]> {
    yield;
    const chosen: number[] = [];
    const own: string[] = [];
    for (const { protocol, hostAddresses, hostPort } of wanted) {
      const { from, to } = typeof hostPort === "number" ? { from: FIRST_FREE_PORT, to: 60999 } : hostPort;
      let port = from;
      const keys = () => hostAddresses.map((address) => `${address}:${port}/${protocol}`);
      while (port <= to && keys().some((key) => this.taken.has(key))) port++;
      if (port > to) {
        for (const key of own) this.taken.delete(key);
        throw new LighterError("kernel", `Bind for ${hostAddresses[0]}:${from} failed: port is already allocated`);
      }
      for (const key of keys()) {
        this.taken.add(key);
        own.push(key);
      }
      chosen.push(port);
    }
    return chosen;
  }

  release(ports: readonly HostPort[]): void {
    for (const { protocol, hostAddress, hostPort } of ports)
      this.taken.delete(`${hostAddress}:${hostPort}/${protocol}`);
  }

  claim(ports: readonly HostPort[]): void {
    for (const { protocol, hostAddress, hostPort } of ports) this.taken.add(`${hostAddress}:${hostPort}/${protocol}`);
  }
}

/** The host's whole network. It outlives the engine, as the host does. */
export class FakeHostNetwork {
  readonly host = new FakeLinks();
  readonly firewall = new FakeFirewall();
  readonly hostPorts = new FakeHostPorts();
  /** The network namespaces that have a resolver now. */
  readonly resolvers = new Set<string>();

  /** The names that the container with the latest resolver sees. */
  latestNames: NameSource | undefined;

  readonly startResolver = async ({ networkNamespace, names }: ResolverOptions): Promise<Resolver> => {
    this.latestNames = names;
    this.resolvers.add(networkNamespace);
    const resolver = { setUpstream() {}, [Symbol.dispose]: () => void this.resolvers.delete(networkNamespace) };
    return resolver as unknown as Resolver;
  };
}
