import { afterAll, beforeAll, beforeEach, expect } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { Firewall } from "../../src/network/firewall/mod.ts";
import type { FirewallNetwork, PortMapping } from "../../src/network/types.ts";
import { enterNetworkNamespace } from "../support/enter-network-namespace.ts";
import { addBridge, connectHost, NetworkHost } from "../support/network-lab.ts";
import { testIf } from "../support/test-if.ts";

/**
 * Real packets. The test's own namespace is the host; namespaces tied to its bridges are containers:
 *
 *   outside 192.0.2.2 ── 192.0.2.1  host  br-a 172.18.0.1   a1 .2, a2 .3
 *           2001:db8::2   2001:db8::1     br-b 172.19.0.1   b1 .2           leaves as 192.0.2.9
 *                                         br-c 172.20.0.1   c1 .2, c2 .3    internal
 *                                         br-d 172.21.0.1   d1 .2, d2 .3    containers do not reach one another
 *   IPv6: fd00:a::/64 and so on, with the same last numbers.
 */

const isRoot = process.getuid?.() === 0;
const BRIDGE_CALLS = ["iptables", "ip6tables"].map((kind) => `/proc/sys/net/bridge/bridge-nf-call-${kind}`);
const hasBridgeCalls = existsSync(BRIDGE_CALLS[0]!);

const net = (letter: string, rest: Partial<FirewallNetwork> = {}): FirewallNetwork => ({
  bridge: `br-${letter}`,
  subnets: [`172.${17 + letter.charCodeAt(0) - 96}.0.0/16`, `fd00:${letter}::/64`],
  internal: false,
  icc: true,
  masquerade: true,
  ...rest,
});
const NETWORKS: readonly FirewallNetwork[] = [
  net("a"),
  net("b", { hostAddresses: ["192.0.2.9"] }),
  net("c", { internal: true }),
  net("d", { icc: false }),
];

const port = (
  protocol: PortMapping["protocol"],
  hostAddress: string,
  hostPort: number,
  address: string,
  containerPort: number,
  bridge: string,
): PortMapping => ({ protocol, hostAddress, hostPort, address, port: containerPort, bridge });
const PORTS: readonly PortMapping[] = [
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

const hosts = {} as Record<"host" | "outside" | "a1" | "a2" | "b1" | "c1" | "c2" | "d1" | "d2", NetworkHost>;
type HostName = keyof typeof hosts;
let firewall: Firewall;

const sysctl = (path: string, value: string): void => writeFileSync(`/proc/sys/net/${path}`, value);

beforeAll(async () => {
  if (!isRoot) return;
  enterNetworkNamespace();
  sysctl("ipv4/ip_forward", "1");
  sysctl("ipv6/conf/all/forwarding", "1");
  sysctl("ipv6/conf/default/accept_dad", "0"); // an address is good at once
  const names = ["outside", "a1", "a2", "b1", "c1", "c2", "d1", "d2"] as const;
  hosts.host = NetworkHost.here("host");
  await Promise.all(
    names.map(async (name) => {
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
  for (const name of names.slice(1)) {
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
  firewall = new Firewall({ tableName: "lighter" });
});

afterAll(async () => {
  await Promise.all(Object.values(hosts).map((host) => host[Symbol.asyncDispose]()));
});

beforeEach(() => {
  if (isRoot) firewall.sync(NETWORKS, PORTS);
});

/** Who asks where, and what is to come back: server and the address that it saw. */
type Row = readonly [HostName, "tcp" | "udp", string, string];

/** Rows are asked at the same time. "1.2.3.4 80", "fd00::1 80". */
async function expectAnswers(rows: readonly Row[]): Promise<void> {
  const answers = await Promise.all(
    rows.map(([from, protocol, to]) => {
      const [address = "", portText] = to.split(" ");
      return hosts[from].ask(protocol, address, Number(portText));
    }),
  );
  const said = rows.map(([from, protocol, to], index): Row => [from, protocol, to, String(answers[index])]);
  expect(said).toEqual([...rows]);
}

/** As `name (bridge-nf-call-iptables 0)` and `… 1`: bridges hand what they forward to the firewall, or do not. */
function testBothWays(name: string, rows: (isFiltered: boolean) => readonly Row[]): void {
  for (const isFiltered of [false, true])
    testIf(isRoot && hasBridgeCalls, "needs root and br_netfilter")(
      `${name} (bridge-nf-call-iptables ${Number(isFiltered)})`,
      async () => {
        for (const path of BRIDGE_CALLS) writeFileSync(path, isFiltered ? "1" : "0");
        firewall.sync(NETWORKS, PORTS);
        await expectAnswers(rows(isFiltered));
      },
    );
}

testBothWays("published ports are reached from outside, and nothing else is", () => [
  ["outside", "tcp", "192.0.2.1 8080", "a1 192.0.2.2"],
  ["outside", "udp", "192.0.2.1 8053", "a1 192.0.2.2"],
  ["outside", "tcp", "192.0.2.1 8082", "a1 192.0.2.2"],
  ["outside", "tcp", "192.0.2.9 8080", "a1 192.0.2.2"],
  ["outside", "tcp", "192.0.2.9 8082", "refused"],
  ["outside", "tcp", "192.0.2.1 8081", "refused"],
  ["outside", "tcp", "192.0.2.1 8083", "refused"],
  ["outside", "tcp", "192.0.2.1 80", "host 192.0.2.2"],
  ["outside", "tcp", "2001:db8::1 8080", "a1 2001:db8::2"],
  ["outside", "udp", "2001:db8::1 8053", "a1 2001:db8::2"],
  ["outside", "tcp", "2001:db8::1 8082", "a1 2001:db8::2"],
  ["outside", "tcp", "2001:db8::1 8081", "refused"],
]);

testBothWays("the host reaches published ports by each of its addresses", (isFiltered) => [
  ["host", "tcp", "127.0.0.1 8080", "a1 172.18.0.1"],
  ["host", "tcp", "127.1.2.3 8080", "a1 172.18.0.1"],
  ["host", "udp", "127.0.0.1 8053", "a1 172.18.0.1"],
  ["host", "tcp", "127.0.0.1 8081", "a1 172.18.0.1"],
  ["host", "tcp", "127.0.0.1 8090", "d1 172.21.0.1"],
  ["host", "tcp", "192.0.2.1 8080", "a1 192.0.2.1"],
  ["host", "tcp", "192.0.2.1 8082", "a1 192.0.2.1"],
  ["host", "tcp", "172.18.0.1 8080", "a1 172.18.0.1"],
  ["host", "tcp", "172.19.0.1 8080", "a1 192.0.2.9"],
  ["host", "tcp", "127.0.0.1 8082", "refused"],
  ["host", "tcp", "::1 8080", isFiltered ? "refused" : "a1 fd00:a::1"],
  ["host", "tcp", "::1 8081", isFiltered ? "refused" : "a1 fd00:a::1"],
  ["host", "udp", "::1 8053", isFiltered ? "refused" : "a1 fd00:a::1"],
  ["host", "tcp", "2001:db8::1 8080", "a1 2001:db8::1"],
  ["host", "tcp", "172.18.0.2 81", "a1 172.18.0.1"],
  ["host", "tcp", "172.20.0.2 81", "c1 172.20.0.1"],
]);

testBothWays("containers reach published ports by the host's addresses, their own port too", () => [
  ["a1", "tcp", "192.0.2.1 8080", "a1 172.18.0.1"],
  ["a2", "tcp", "192.0.2.1 8080", "a1 172.18.0.1"],
  ["a2", "udp", "192.0.2.1 8053", "a1 172.18.0.1"],
  ["a2", "tcp", "172.18.0.1 8080", "a1 172.18.0.1"],
  ["a2", "tcp", "192.0.2.1 8091", "b1 172.19.0.1"],
  ["b1", "tcp", "192.0.2.1 8080", "a1 192.0.2.9"],
  ["d1", "tcp", "192.0.2.1 8080", "a1 172.18.0.1"],
  ["a1", "tcp", "2001:db8::1 8080", "a1 fd00:a::1"],
  ["a2", "tcp", "2001:db8::1 8080", "a1 fd00:a::1"],
  ["b1", "tcp", "2001:db8::1 8080", "a1 fd00:a::1"],
  ["a2", "tcp", "192.0.2.1 8081", "refused"],
  ["c1", "tcp", "192.0.2.1 8080", "timeout"],
]);

testBothWays("networks are apart from one another, and from outside", () => [
  ["a1", "tcp", "172.18.0.3 80", "a2 172.18.0.2"],
  ["a1", "tcp", "fd00:a::3 80", "a2 fd00:a::2"],
  ["c1", "tcp", "172.20.0.3 80", "c2 172.20.0.2"],
  ["a1", "tcp", "172.19.0.2 80", "timeout"],
  ["a1", "tcp", "fd00:b::2 80", "timeout"],
  ["a1", "tcp", "172.20.0.2 80", "timeout"],
  ["c1", "tcp", "172.18.0.2 80", "timeout"],
  ["d1", "tcp", "172.21.0.3 80", "timeout"],
  ["a1", "tcp", "172.18.0.1 80", "host 172.18.0.2"],
  ["c1", "tcp", "172.20.0.1 80", "host 172.20.0.2"],
  ["d1", "tcp", "172.21.0.1 80", "host 172.21.0.2"],
]);

testBothWays(
  "what leaves has the host's address, or the one that is asked for; nothing leaves an internal network",
  () => [
    ["a1", "tcp", "192.0.2.2 80", "outside 192.0.2.1"],
    ["a1", "udp", "192.0.2.2 53", "outside 192.0.2.1"],
    ["a1", "tcp", "2001:db8::2 80", "outside 2001:db8::1"],
    ["b1", "tcp", "192.0.2.2 80", "outside 192.0.2.9"],
    ["b1", "tcp", "2001:db8::2 80", "outside 2001:db8::1"],
    ["d1", "tcp", "192.0.2.2 80", "outside 192.0.2.1"],
    ["c1", "tcp", "192.0.2.2 80", "timeout"],
    ["c1", "tcp", "2001:db8::2 80", "timeout"],
  ],
);
