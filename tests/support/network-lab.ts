/** Bridges with hosts connected to them: namespaces that stand for containers, and one for a host outside. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startBridge } from "../../src/network/host-settings.ts";
import { ip } from "./enter-network-namespace.ts";
import { NetworkNamespace } from "./network-namespace.ts";

/** A namespace with a program that opens and accepts connections (network-agent.py). */
export class NetworkHost implements AsyncDisposable {
  readonly #agent: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly name: string,
    /** The host's namespace; undefined if it is the test's. */
    readonly namespace: NetworkNamespace | undefined,
  ) {
    const python = ["python3", join(import.meta.dirname, "network-agent.py")];
    const [command = "", ...args] = namespace?.inside(...python) ?? python;
    this.#agent = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#agent.stdout! })[Symbol.asyncIterator]();
  }

  static async create(name: string): Promise<NetworkHost> {
    return new NetworkHost(name, await NetworkNamespace.create());
  }

  static here(name: string): NetworkHost {
    return new NetworkHost(name, undefined);
  }

  run(...argv: readonly string[]): string {
    return this.namespace!.run(...argv);
  }

  /** Sends a request to the agent. Requests are answered one after the other, in the order of the calls. */
  tell(request: Readonly<Record<string, unknown>>): Promise<unknown> {
    const answer = this.#last.then(async () => {
      this.#agent.stdin!.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`the agent of ${this.name} has ended`);
      return JSON.parse(value) as unknown;
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  serve(protocol: "tcp" | "udp", port: number): Promise<unknown> {
    return this.tell({ do: "serve", protocol, port, name: this.name });
  }

  /** Asks a server. The answer is "NAME-OF-SERVER ADDRESS-IT-SAW", or "timeout", "refused", "EHOSTUNREACH". */
  ask(protocol: "tcp" | "udp", address: string, port: number): Promise<unknown> {
    return this.tell({ do: "ask", protocol, address, port });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#agent.once("close", resolve));
    this.#agent.stdin!.end();
    await ended;
    await this.namespace?.[Symbol.asyncDispose]();
  }
}

/** Adds a bridge with the settings that Lighter gives its bridges. */
export function addBridge(name: string, addresses: readonly string[]): void {
  ip("link", "add", name, "type", "bridge");
  for (const address of addresses) ip("address", "add", address, "dev", name, "nodad");
  const [{ ifindex }] = JSON.parse(ip("-j", "link", "show", name)) as [{ ifindex: number }];
  startBridge({ name, index: ifindex }, { ipv6: addresses.some((address) => address.includes(":")), loopback: true });
}

/** Connects a host by a veth pair whose end on this side is `near`; it is in a bridge, or has its own addresses. */
export function connectHost(
  host: NetworkHost,
  near: string,
  options: {
    bridge?: string;
    isolated?: boolean;
    nearAddresses?: readonly string[];
    addresses: readonly string[];
    gateways: readonly string[];
  },
): void {
  const { bridge, isolated = false, nearAddresses = [], addresses, gateways } = options;
  ip("link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", host.namespace!.path);
  if (bridge !== undefined) {
    ip("link", "set", near, "master", bridge);
    ip("link", "set", near, "type", "bridge_slave", "hairpin", "on", "isolated", isolated ? "on" : "off");
  }
  for (const address of nearAddresses) ip("address", "add", address, "dev", near, "nodad");
  ip("link", "set", near, "up");
  for (const address of addresses) host.run("ip", "address", "add", address, "dev", "eth0", "nodad");
  host.run("ip", "link", "set", "eth0", "up");
  for (const gateway of gateways) host.run("ip", "route", "add", "default", "via", gateway);
}
