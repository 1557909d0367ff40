// needs: ip nft iptables-nft python3
import { afterAll, beforeAll, beforeEach, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Firewall } from "../../src/network/firewall/mod.ts";
import type { PortMapping } from "../../src/network/types.ts";
import { ip } from "../support/enter-network-namespace.ts";
import {
  closeLab,
  expectAnswers,
  hasBridgeCalls,
  hosts,
  NETWORKS,
  nft,
  openLab,
  PORTS,
  port,
  setBridgeCalls,
} from "../support/firewall-lab.ts";
import { connectHost, NetworkHost } from "../support/network-lab.ts";
import { Random } from "../support/random.ts";
import { testIf } from "../support/test-if.ts";

/** The firewall among what else the host has: its own filter, others' tables, other daemons, and those who clear tables. */

const isRoot = process.getuid?.() === 0;
const testAsRoot = testIf(isRoot, "needs root");
let firewall: Firewall;

beforeAll(async () => {
  if (!isRoot) return;
  await openLab();
  firewall = new Firewall({ tableName: "lighter" });
});

afterAll(closeLab);

beforeEach(() => {
  if (!isRoot) return;
  nft("flush", "ruleset");
  firewall.guard({ ipv4: false, ipv6: false });
  firewall.sync(NETWORKS, PORTS);
});

/** What is in a table, in an order that does not depend on how it came about. */
function listTable(name = "lighter"): unknown {
  const listed = JSON.parse(nft("-j", "list", "table", "inet", name), (key, value) => {
    if (key === "handle" || value === name) return undefined;
    return key === "elem" && Array.isArray(value) ? value.map((each) => JSON.stringify(each)).sort() : value;
  }) as { nftables: unknown[] };
  return listed.nftables.slice(1);
}

testAsRoot("what the host's own filter drops stays dropped, until the host allows it", async () => {
  nft("add table inet admin; add chain inet admin forward { type filter hook forward priority 10; policy drop; }");
  nft("add chain inet admin input { type filter hook input priority -10; policy drop; }");
  nft("add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }");
  expect(firewall.forwardDrops().sort()).toEqual(["inet admin forward", "ip filter FORWARD"]);
  nft("delete table ip filter");
  nft("add rule inet admin input meta l4proto ipv6-icmp accept"); // neighbours find one another
  await expectAnswers([
    ["outside", "tcp", "192.0.2.1 8080", "timeout"],
    ["outside", "tcp", "2001:db8::1 8080", "timeout"],
    ["a1", "tcp", "192.0.2.2 80", "timeout"],
    ["a1", "tcp", "172.18.0.1 80", "timeout"],
    ["a2", "tcp", "192.0.2.1 8091", "timeout"],
  ]);
  nft("add rule inet admin forward ct status dnat accept; add rule inet admin forward ct state established accept");
  nft("add rule inet admin input tcp dport 80 accept");
  await expectAnswers([
    ["outside", "tcp", "192.0.2.1 8080", "a1 192.0.2.2"],
    ["outside", "tcp", "2001:db8::1 8080", "a1 2001:db8::2"],
    ["a1", "tcp", "192.0.2.2 80", "timeout"],
    ["a1", "tcp", "172.18.0.1 80", "host 172.18.0.2"],
  ]);
});

testAsRoot("tables of others are as they were, whatever becomes of ours", () => {
  const iptables = (...args: string[]) => expect(spawnSync("iptables-nft", args, { encoding: "utf8" }).stderr).toBe("");
  iptables("-t", "nat", "-A", "POSTROUTING", "-s", "10.9.0.0/16", "-j", "MASQUERADE");
  iptables("-P", "FORWARD", "DROP");
  iptables("-A", "FORWARD", "-i", "virbr0", "-j", "ACCEPT");
  nft("add table inet filter; add set inet filter s { type ipv4_addr; elements = { 10.0.0.1 }; }");
  nft("add table inet lighter-0; add chain inet lighter-0 c; add table ip lighter; add chain ip lighter c");
  const others = () => {
    const { nftables } = JSON.parse(nft("-j", "list", "ruleset")) as { nftables: Record<string, Entry>[] };
    return nftables.filter((each) => !Object.values(each).some(isOurs));
  };
  type Entry = { family?: string; table?: string; name?: string };
  const isOurs = ({ family, table, name }: Entry) => family === "inet" && (table ?? name) === "lighter";
  const before = others();
  expect(before.length).toBeGreaterThan(10);
  firewall.sync([], []);
  firewall.addNetwork(NETWORKS[0]!);
  firewall.publish([PORTS[0]!]);
  firewall.unpublish([PORTS[0]!]);
  firewall.sync(NETWORKS, PORTS);
  expect(others()).toEqual(before);
  firewall.remove();
  expect(others()).toEqual(before);
  expect(nft("list", "tables").split("\n")).not.toContain("table inet lighter");
});

testAsRoot("two daemons' firewalls work side by side, and keep their networks apart", async () => {
  const [a, b] = NETWORKS;
  firewall.sync([a!], [PORTS[0]!, port("tcp", "127.0.0.1", 8081, "172.18.0.2", 80, "br-a")]);
  firewall.guard({ ipv4: true, ipv6: true });
  using second = new Firewall({ tableName: "lighter-2" });
  second.sync([b!], [port("tcp", "0.0.0.0", 8091, "172.19.0.2", 80, "br-b")]);
  second.guard({ ipv4: true, ipv6: true });
  await expectAnswers([
    ["outside", "tcp", "192.0.2.1 8080", "a1 192.0.2.2"],
    ["outside", "tcp", "192.0.2.1 8091", "b1 192.0.2.2"],
    ["host", "tcp", "127.0.0.1 8081", "a1 172.18.0.1"],
    ["host", "tcp", "127.0.0.1 8091", "b1 172.19.0.1"],
    ["a1", "tcp", "192.0.2.1 8091", "b1 172.19.0.1"],
    ["b1", "tcp", "192.0.2.1 8080", "a1 192.0.2.9"],
    ["a1", "tcp", "192.0.2.2 80", "outside 192.0.2.1"],
    ["b1", "tcp", "192.0.2.2 80", "outside 192.0.2.9"],
    ["a1", "tcp", "172.19.0.2 80", "timeout"],
    ["b1", "tcp", "172.18.0.2 80", "timeout"],
  ]);
  second.remove();
  await expectAnswers([["outside", "tcp", "192.0.2.1 8080", "a1 192.0.2.2"]]);
});

testAsRoot("a host that forwards since we came does not do it for others, bridges of theirs excepted", async () => {
  await using far = await NetworkHost.create("far");
  connectHost(far, "second", {
    nearAddresses: ["198.51.100.1/24", "2001:db8:f::1/64"],
    addresses: ["198.51.100.2/24", "2001:db8:f::2/64"],
    gateways: ["198.51.100.1", "2001:db8:f::1"],
  });
  hosts.outside.run("ip", "route", "replace", "198.51.100.0/24", "via", "192.0.2.1");
  hosts.outside.run("ip", "route", "replace", "2001:db8:f::/64", "via", "2001:db8::1");
  await far.serve("tcp", 80);
  const ask = () =>
    Promise.all([hosts.outside.ask("tcp", "198.51.100.2", 80), hosts.outside.ask("tcp", "2001:db8:f::2", 80)]);
  expect(await ask()).toEqual(["far 192.0.2.2", "far 2001:db8::2"]);
  firewall.guard({ ipv4: true, ipv6: false });
  expect(await ask()).toEqual(["timeout", "far 2001:db8::2"]);
  firewall.guard({ ipv4: true, ipv6: true });
  expect(await ask()).toEqual(["timeout", "timeout"]);
  await expectAnswers([
    ["outside", "tcp", "192.0.2.1 8080", "a1 192.0.2.2"],
    ["a1", "tcp", "192.0.2.2 80", "outside 192.0.2.1"],
    ["a1", "tcp", "172.18.0.3 80", "a2 172.18.0.2"],
  ]);
});

testIf(isRoot && hasBridgeCalls, "needs root and br_netfilter")(
  "hosts on one bridge of somebody else's reach one another while others' packets are not forwarded",
  async () => {
    setBridgeCalls(true);
    ip("link", "add", "virbr", "type", "bridge");
    ip("link", "set", "virbr", "up");
    await using left = await NetworkHost.create("left");
    await using right = await NetworkHost.create("right");
    for (const [host, last] of [
      [left, 1],
      [right, 2],
    ] as const)
      connectHost(host, `vm-${last}`, { bridge: "virbr", addresses: [`10.9.0.${last}/24`], gateways: [] });
    await right.serve("tcp", 80);
    firewall.guard({ ipv4: true, ipv6: true });
    expect(await left.ask("tcp", "10.9.0.2", 80)).toBe("right 10.9.0.1");
    ip("link", "del", "virbr");
  },
);

testAsRoot("nobody gets at the host's loopback by way of a bridge, nor from outside", async () => {
  const loopbackByGateway = (host: NetworkHost, gateway: string) => {
    host.run("ip", "address", "flush", "dev", "lo");
    host.run("sysctl", "-qw", "net.ipv4.conf.eth0.route_localnet=1");
    host.run("ip", "route", "add", "127.0.0.0/8", "via", gateway, "dev", "eth0");
  };
  loopbackByGateway(hosts.a2, "172.18.0.1");
  loopbackByGateway(hosts.outside, "192.0.2.1");
  await expectAnswers([
    ["a2", "tcp", "127.0.0.1 80", "timeout"],
    ["a2", "udp", "127.0.0.1 53", "timeout"],
    ["a2", "tcp", "127.0.0.1 8081", "timeout"],
    ["outside", "tcp", "127.0.0.1 80", "timeout"],
    ["outside", "tcp", "127.0.0.1 8081", "timeout"],
    ["outside", "tcp", "127.0.0.1 8080", "timeout"],
  ]);
  // Without these two chains they would get there.
  nft("flush chain inet lighter guard; flush chain inet lighter prerouting");
  nft("add rule inet lighter prerouting fib daddr type local jump publish");
  await expectAnswers([
    ["a2", "tcp", "127.0.0.1 80", "host 172.18.0.3"],
    ["outside", "tcp", "127.0.0.1 8081", "a1 192.0.2.2"],
  ]);
});

testAsRoot("a connection outlives the end of its port's publication, until it is forgotten", async () => {
  const held = await hosts.outside.tell({ do: "hold", address: "192.0.2.1", port: 8080 });
  const held6 = await hosts.outside.tell({ do: "hold", address: "2001:db8::1", port: 8080 });
  const again = (number: unknown) => hosts.outside.tell({ do: "again", number });
  firewall.unpublish(PORTS);
  expect(await hosts.outside.ask("tcp", "192.0.2.1", 8080)).toBe("refused");
  expect([await again(held), await again(held6)]).toEqual(["a1 192.0.2.2", "a1 2001:db8::2"]);
  firewall.forgetConnections(["172.18.0.3"]); // of another
  expect(await again(held)).toBe("a1 192.0.2.2");
  firewall.forgetConnectionsBut(["172.18.0.2", "fd00:a::2"]);
  expect([await again(held), await again(held6)]).toEqual(["a1 192.0.2.2", "a1 2001:db8::2"]);
  firewall.forgetConnections(["172.18.0.2", "fd00:a::2"]);
  expect(["timeout", "reset"]).toContain(String(await again(held)));
  expect(["timeout", "reset"]).toContain(String(await again(held6)));
});

testAsRoot("connections of containers that went while nobody looked are forgotten, and no others", async () => {
  const ours = await hosts.outside.tell({ do: "hold", address: "192.0.2.1", port: 8080 });
  const others = await hosts.a1.tell({ do: "hold", address: "172.18.0.3", port: 80 });
  const again = (agent: typeof hosts.a1, number: unknown) => agent.tell({ do: "again", number });
  firewall.unpublish(PORTS);
  firewall.forgetConnectionsBut(["172.18.0.1", "172.18.0.3", "172.18.0.2"]);
  expect(await again(hosts.outside, ours)).toBe("a1 192.0.2.2");
  firewall.forgetConnectionsBut(["172.18.0.1", "172.18.0.3"]);
  expect(["timeout", "reset"]).toContain(String(await again(hosts.outside, ours)));
  expect(String(await again(hosts.a1, others))).toContain("a2");
});

testAsRoot("who was already sending datagrams to a port reaches it when it is published", async () => {
  const ask = (address: string, source: string) =>
    hosts.outside.tell({ do: "ask", protocol: "udp", address, port: 8054, source: [source, 40000] });
  expect([await ask("192.0.2.1", "192.0.2.2"), await ask("2001:db8::1", "2001:db8::2")]).toEqual([
    "refused",
    "refused",
  ]);
  firewall.publish([
    port("udp", "0.0.0.0", 8054, "172.18.0.2", 53, "br-a"),
    port("udp", "2001:db8::1", 8054, "fd00:a::2", 53, "br-a"),
  ]);
  expect([await ask("192.0.2.1", "192.0.2.2"), await ask("2001:db8::1", "2001:db8::2")]).toEqual([
    "a1 192.0.2.2",
    "a1 2001:db8::2",
  ]);
});

testAsRoot("who clears all tables is noticed, and the next sync repairs it", async () => {
  const before = listTable();
  let repaired = () => {};
  const done = new Promise<void>((resolve) => {
    repaired = resolve;
  });
  using _watch = firewall.watch(() => {
    firewall.sync(NETWORKS, PORTS);
    repaired();
  });
  nft("flush", "ruleset");
  await done;
  expect(listTable()).toEqual(before);
  await expectAnswers([["outside", "tcp", "192.0.2.1 8080", "a1 192.0.2.2"]]);
});

/** Bytes that wait for the one who watches nf_tables. Source: netlink_native_seq_show() in Linux net/netlink/af_netlink.c. */
function waitingBytes(): number {
  const NFNLGRP_NFTABLES_MASK = "00000040";
  const lines = readFileSync("/proc/net/netlink", "utf8").trim().split("\n");
  const sockets = lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , groups]) => groups === NFNLGRP_NFTABLES_MASK);
  expect(sockets).toHaveLength(1);
  return Number(sockets[0]![4]);
}

testAsRoot("changes by others of any part of the table are noticed, and ours cost nothing", async () => {
  let told = 0;
  let wake = () => {};
  using _watch = firewall.watch(() => {
    told++;
    wake();
  });
  const change = async (command: string) => {
    const noticed = new Promise<void>((resolve) => {
      wake = resolve;
    });
    nft(command);
    await noticed;
  };
  firewall.unpublish(PORTS);
  firewall.publish(PORTS);
  firewall.addNetwork(NETWORKS[0]!);
  firewall.sync(NETWORKS, manyPorts(10_000));
  expect(waitingBytes()).toBe(0);
  nft("add table inet other; add chain inet other c; add table ip lighter; delete table ip lighter");
  expect(waitingBytes()).toBeGreaterThan(0);
  await change("delete element inet lighter ports4 { tcp . 20000 }");
  expect(told).toBe(1);
  await change("add rule inet lighter forward drop");
  await change("flush chain inet lighter forward");
  await change("delete table inet lighter");
});

testAsRoot("a change that finds its table gone or changed makes all of it anew", async () => {
  const before = listTable();
  const extra = port("tcp", "0.0.0.0", 9999, "172.18.0.2", 80, "br-a");
  nft("delete table inet lighter");
  firewall.publish([extra]);
  firewall.unpublish([extra]);
  expect(listTable()).toEqual(before);
  nft("delete element inet lighter ports4 { tcp . 8080 }");
  firewall.unpublish([PORTS[0]!]);
  firewall.publish([PORTS[0]!]);
  expect(listTable()).toEqual(before);
  nft("add element inet lighter ports4 { tcp . 9999 : 10.0.0.1 . 1 }");
  firewall.publish([extra]);
  firewall.unpublish([extra]);
  expect(listTable()).toEqual(before);
});

const manyPorts = (count: number): PortMapping[] =>
  Array.from({ length: count }, (_, index) => port("tcp", "0.0.0.0", 20_000 + index, "172.18.0.2", 80, "br-a"));

testAsRoot("after any series of changes the table is the one that is written from their outcome", () => {
  const random = Random.fromEnvironment("firewall");
  const networks = new Map(NETWORKS.map((network) => [network.bridge, network]));
  const published = new Map(PORTS.map((each) => [JSON.stringify(each), each]));
  const choices = [...PORTS, ...manyPorts(20)];
  for (let step = 0; step < 150; step++) {
    const network = random.pick(NETWORKS);
    const some = choices.filter(() => random.below(8) === 0);
    switch (random.below(4)) {
      case 0: {
        const changed = { ...network, icc: random.below(2) === 0, masquerade: random.below(2) === 0 };
        networks.set(network.bridge, changed);
        firewall.addNetwork(changed);
        break;
      }
      case 1:
        networks.delete(network.bridge);
        firewall.removeNetwork(network.bridge);
        break;
      case 2: {
        const fresh = some.filter((each) => !published.has(JSON.stringify(each)));
        for (const each of fresh) published.set(JSON.stringify(each), each);
        firewall.publish(fresh);
        break;
      }
      default:
        for (const each of some) published.delete(JSON.stringify(each));
        firewall.unpublish(some);
    }
  }
  using fresh = new Firewall({ tableName: "fresh" });
  fresh.sync([...networks.values()], [...published.values()]);
  expect(listTable()).toEqual(listTable("fresh"));
});

testAsRoot("a port that leads to a container already is refused, and nothing has changed", () => {
  const before = listTable();
  const other = { ...PORTS[0]!, address: "172.18.0.3" };
  expect(() => firewall.publish([port("tcp", "0.0.0.0", 9000, "172.18.0.2", 80, "br-a"), other])).toThrow(
    "port 8080/tcp of 0.0.0.0 leads to a container already",
  );
  expect(() =>
    firewall.publish([
      { ...other, hostPort: 1 },
      { ...other, hostPort: 1 },
    ]),
  ).toThrow("leads to a container");
  expect(() => firewall.publish([{ ...other, hostPort: 1, address: "nowhere" }])).toThrow('"nowhere"');
  expect(() => firewall.publish([{ ...other, hostPort: 1, address: "fd00:a::2" }])).toThrow("cannot lead to fd00:a::2");
  firewall.unpublish([other]); // which leads elsewhere
  expect(listTable()).toEqual(before);
});

testAsRoot("a firewall that nobody has asked for anything makes no table", () => {
  using idle = new Firewall({ tableName: "idle" });
  idle.unpublish(PORTS);
  idle.removeNetwork("br-a");
  idle.guard({ ipv4: true, ipv6: true });
  expect(nft("list", "tables")).not.toContain("idle");
});

testAsRoot("what the kernel refuses is not there later either", async () => {
  const before = listTable();
  nft("delete table inet lighter");
  // Somebody's table of that name, which nobody else may change; it goes with them.
  const owner = spawn("nft", ["-i"], { stdio: ["pipe", "pipe", "inherit"] });
  owner.stdin.write("add table inet lighter { flags owner; }\nlist tables\n");
  for await (const chunk of owner.stdout) if (String(chunk).includes("table inet lighter")) break;
  expect(() => firewall.publish([port("tcp", "0.0.0.0", 9999, "172.18.0.2", 80, "br-a")])).toThrow("EPERM");
  expect(() => firewall.addNetwork({ ...NETWORKS[0]!, bridge: "br-z" })).toThrow("EPERM");
  owner.stdin.end();
  await once(owner, "exit");
  firewall.unpublish([PORTS[0]!]);
  firewall.publish([PORTS[0]!]);
  expect(listTable()).toEqual(before);
});
