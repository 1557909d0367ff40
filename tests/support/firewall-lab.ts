/**
 * Sends real packets. The test's own namespace is the host; namespaces connected to its bridges are containers:
 *
 *   outside 192.0.2.2 ── 192.0.2.1  host  br-a 172.18.0.1   a1 .2, a2 .3
 *           2001:db8::2   2001:db8::1     br-b 172.19.0.1   b1 .2           leaves as 192.0.2.9
 *                                         br-c 172.20.0.1   c1 .2, c2 .3    internal
 *                                         br-d 172.21.0.1   d1 .2, d2 .3    containers do not reach one another
 *   IPv6: fd00:a::/64 and so on, with the same last numbers.
 *
 * Each host serves TCP on 80 and 81 and UDP on 53, and answers with its name and the client's address.
 */
import { expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import type { FirewallNetwork, PortMapping } from "../../src/network/types.ts";
import { enterNetworkNamespace } from "./enter-network-namespace.ts";
import { addBridge, connectHost, NetworkHost } from "./network-lab.ts";

const BRIDGE_CALLS = ["iptables", "ip6tables"].map((kind) => `/proc/sys/net/bridge/bridge-nf-call-${kind}`);
export const hasBridgeCalls = existsSync(BRIDGE_CALLS[0]!);

/** Sets whether bridges pass what they forward to the firewall. */
export function setBridgeCalls(isFiltered: boolean): void {
  for (const path of BRIDGE_CALLS) writeFileSync(path, isFiltered ? "1" : "0");
}

const net = (letter: string, rest: Partial<FirewallNetwork> = {}): FirewallNetwork => ({
  bridge: `br-${letter}`,
  subnets: [`172.${17 + letter.charCodeAt(0) - 96}.0.0/16`, `fd00:${letter}::/64`],
  internal: false,
  icc: true,
  masquerade: true,
  ...rest,
});
export const NETWORKS: readonly FirewallNetwork[] = [
  net("a"),
  net("b", { hostAddresses: ["192.0.2.9"] }),
  net("c", { internal: true }),
  net("d", { icc: false }),
];

export const port = (
  protocol: PortMapping["protocol"],
  hostAddress: string,
  hostPort: number,
  address: string,
  containerPort: number,
  bridge: string,
): PortMapping => ({ protocol, hostAddress, hostPort, address, port: containerPort, bridge });
export const PORTS: readonly PortMapping[] = [
  port("tcp", "0.0.0.0", 8080, "172.18.0.2", 80, "br-a"),
  port("udp", "0.0.0.0", 8053, "172.18.0.2", 53, "br-a"),
  port("sctp", "0.0.0.0", 8132, "172.18.0.2", 1132, "br-a"),
  port("tcp", "127.0.0.1", 8081, "172.18.0.2", 80, "br-a"),
  port("tcp", "192.0.2.1", 8082, "172.18.0.2", 80, "br-a"),
  port("tcp", "::", 8080, "fd00:a::2", 80, "br-a"),
  port("udp", "::", 8053, "fd00:a::2", 53, "br-a"),
  port("tcp", "::1", 8081, "fd00:a::2", 80, "br-a"),
  port("tcp", "2001:db8::1", 8082, "fd00:a::2", 80, "br-a"),
  port("tcp", "0.0.0.0", 8090, "172.21.0.2", 80, "br-d"),
  port("tcp", "0.0.0.0", 8091, "172.19.0.2", 80, "br-b"),
];

const NAMES = ["outside", "a1", "a2", "b1", "c1", "c2", "d1", "d2"] as const;
export const hosts = {} as Record<"host" | (typeof NAMES)[number], NetworkHost>;
export type HostName = keyof typeof hosts;

export function sysctl(path: string, value: string): void {
  writeFileSync(`/proc/sys/net/${path}`, value);
}

/** Runs nft(8) and returns its output. @throws Error if it fails */
export function nft(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("nft", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`nft ${args.join(" ")}: ${stderr}`);
  return stdout;
}

/** Builds the lab in `beforeAll`: from then on this process is in a new network namespace. */
export async function openLab(): Promise<void> {
  enterNetworkNamespace();
  sysctl("ipv4/ip_forward", "1");
  sysctl("ipv6/conf/all/forwarding", "1");
  sysctl("ipv4/conf/all/rp_filter", "1");
  sysctl("ipv6/conf/default/accept_dad", "0"); // addresses are usable at once
  hosts.host = NetworkHost.here("host");
  await Promise.all(
    NAMES.map(async (name) => {
      hosts[name] = await NetworkHost.create(name);
    }),
  );
  connectHost(hosts.outside, "uplink", {
    nearAddresses: ["192.0.2.1/24", "192.0.2.9/24", "2001:db8::1/64"],
    addresses: ["192.0.2.2/24", "2001:db8::2/64"],
    gateways: [],
  });
  for (const [index, { bridge, subnets }] of NETWORKS.entries())
    addBridge(bridge, [`172.${18 + index}.0.1/16`, subnets[1]!.replace("/", "1/")]);
  for (const name of NAMES.slice(1)) {
    const letter = name[0]!;
    const gateways = [`172.${17 + letter.charCodeAt(0) - 96}.0.1`, `fd00:${letter}::1`];
    const last = Number(name[1]) + 1;
    connectHost(hosts[name], `v-${name}`, {
      bridge: `br-${letter}`,
      isolated: letter === "d",
      addresses: [gateways[0]!.replace(/1$/, `${last}/16`), gateways[1]!.replace(/1$/, `${last}/64`)],
      gateways,
    });
  }
  await Promise.all(
    Object.values(hosts).flatMap((host) => [host.serve("tcp", 80), host.serve("tcp", 81), host.serve("udp", 53)]),
  );
}

export async function closeLab(): Promise<void> {
  await Promise.all(Object.values(hosts).map((host) => host[Symbol.asyncDispose]()));
}

/** A question and the expected answer: the client, the protocol, the target, then the server and the address that it saw. */
export type Row = readonly [HostName, "tcp" | "udp", string, string];

/** Asks all rows at the same time and compares the answers. Targets: "1.2.3.4 80", "fd00::1 80". */
export async function expectAnswers(rows: readonly Row[]): Promise<void> {
  const answers = await Promise.all(
    rows.map(([from, protocol, to]) => {
      const [address = "", portText] = to.split(" ");
      return hosts[from].ask(protocol, address, Number(portText));
    }),
  );
  const said = rows.map(([from, protocol, to], index): Row => [from, protocol, to, String(answers[index])]);
  expect(said).toEqual([...rows]);
}
