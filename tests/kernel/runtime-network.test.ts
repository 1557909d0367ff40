// needs: ip
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { LighterError } from "../../src/base/errors.ts";
import { RouteSocket } from "../../src/linux/netlink/mod.ts";
import type { NetworkInterface, NetworkPlan } from "../../src/runtime/mod.ts";
import type { OciConfig } from "../../src/spec/oci-runtime.ts";
import { enterNetworkNamespace, ip } from "../support/enter-network-namespace.ts";
import { eventually, until } from "../support/eventually.ts";
import { failureOf, isRoot, type RunOptions, readUntil, rooted, type Sleeper, Stage } from "../support/stage.ts";

/* Containers with interfaces, on a bridge in a network namespace of this file's own. */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);
const HOST4 = "10.77.0.1";
const HOST6 = "fd00:77::1";
let routes: RouteSocket;
let bridgeIndex = 0;
let pairs = 0;

beforeAll(() => {
  if (!isRoot) return;
  enterNetworkNamespace();
  routes = new RouteSocket();
  bridgeIndex = routes.createBridge({ name: "rn-br", multicastSnooping: false });
  routes.replaceAddress(bridgeIndex, { address: HOST4, prefixLength: 24 });
  routes.replaceAddress(bridgeIndex, { address: HOST6, prefixLength: 64 });
  routes.setLink(bridgeIndex, { isUp: true });
});
afterAll(() => routes?.[Symbol.dispose]());

type Changes = Partial<NetworkInterface> & { isolated?: boolean; hairpin?: boolean };

const mac = (host: number) => `02:77:00:00:00:${host.toString(16).padStart(2, "0")}`;

/** One that ends at the bridge, with the address 10.77.0.HOST. */
function onBridge(host: number, { isolated = false, hairpin = false, ...changes }: Changes = {}): NetworkInterface {
  pairs++;
  return {
    name: "eth0",
    link: { type: "veth", hostName: `rn-${pairs}`, bridgeIndex, isolated, hairpin },
    macAddress: mac(host),
    mtu: 0,
    addresses: [{ address: `10.77.0.${host}`, prefixLength: 24 }],
    gateways: [HOST4],
    ...changes,
  };
}

const plan = (...interfaces: NetworkInterface[]): { network: NetworkPlan } => ({ network: { interfaces } });

const mayAdminister: RunOptions["change"] = (config) => {
  const sets = config.process!.capabilities!;
  for (const set of ["bounding", "effective", "permitted"] as const)
    sets[set] = [...(sets[set] ?? []), "CAP_NET_ADMIN"];
};

const asUserNamespace: RunOptions["change"] = (config: OciConfig) => {
  const mappings = [{ containerID: 0, hostID: 100_000, size: 65536 }];
  config.linux!.namespaces!.push({ type: "user" });
  config.linux!.uidMappings = mappings;
  config.linux!.gidMappings = mappings;
};

interface ShownLink {
  ifindex: number;
  ifname: string;
  address: string;
  mtu: number;
  flags: string[];
  addr_info: { local: string; prefixlen: number; broadcast?: string; scope: string; tentative?: boolean }[];
}

/** Of `ip address` and the two routing tables, in one container. */
const SHOW = "ip -j address; echo; ip -j route; echo; ip -6 -j route";

function parseShown(stdout: string) {
  const [links, routes4, routes6] = stdout
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as unknown[]) as [ShownLink[], Route[], Route[]];
  return { links, routes4, routes6 };
}
interface Route {
  dst: string;
  gateway?: string;
  dev: string;
}

async function shown(options: RunOptions) {
  const { stdout, stderr } = await stage.run(SHOW, options);
  expect(stderr).toBe("");
  return parseShown(stdout);
}

/** Serves "NAME\n" to whoever connects to port 7; then closes, or does not. */
const server = (name: string, then = "close $c") =>
  `exec perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => 7, Listen => 9, ReuseAddr => 1) or die; while ($c = $s->accept) { print $c "${name}\\n"; ${then} }'`;

const sleeping = (name: string, options: RunOptions) =>
  stage.sleeper({ ...options, args: ["/bin/sh", "-c", server(name)] });

/** What the server at the address says. Tried again until it listens. */
async function ask(address: string): Promise<string> {
  const { said, socket } = await askAndStay(address);
  socket.destroy();
  return said;
}

/** With the connection still open. */
async function askAndStay(address: string): Promise<{ said: string; socket: Socket }> {
  return await eventually(async () => {
    const socket = connect({ host: address, port: 7 });
    try {
      await once(socket, "connect");
      return { said: (await readUntil(socket, (text) => text.endsWith("\n"))).trim(), socket };
    } catch (error) {
      socket.destroy();
      throw error;
    }
  });
}

/** From one container to the server of another: what it says, or "". */
async function askFrom(container: Sleeper, address: string): Promise<string> {
  const script = `timeout 2 bash -c 'read line <>/dev/tcp/${address}/7 && echo $line'`;
  return (await stage.exec(container, script)).stdout.trim();
}

const forwarding = () => routes.forwarding().filter(({ vlan }) => vlan === 0);

/** Of pairs, the host's ends. What a container had goes a moment after it. */
const linksLeft = () => routes.links().flatMap(({ name }) => (/^rn-\d/.test(name) ? [name] : []));

describe("a container on a bridge", () => {
  rooted("has its interface with MAC, address, broadcast and default route, up at once", async () => {
    const { links, routes4 } = await shown(plan(onBridge(2, { mtu: 1400 })));
    const eth0 = links.find(({ ifname }) => ifname === "eth0")!;
    expect(eth0).toMatchObject({ address: mac(2), mtu: 1400 });
    expect(eth0.flags).toEqual(expect.arrayContaining(["UP", "LOWER_UP"]));
    expect(eth0.addr_info).toMatchObject([
      { local: "10.77.0.2", prefixlen: 24, broadcast: "10.77.0.255", scope: "global" },
    ]);
    expect(routes4).toMatchObject([
      { dst: "default", gateway: HOST4, dev: "eth0" },
      { dst: "10.77.0.0/24", dev: "eth0" },
    ]);
    await until(() => linksLeft().length === 0, "the host's end goes with the container");
  });

  rooted("without an IPv6 address has no IPv6 on the interface; with one, nothing has to be waited for", async () => {
    const four = await shown(plan(onBridge(2)));
    const info = (links: ShownLink[]) => links.find(({ ifname }) => ifname === "eth0")!.addr_info;
    expect(info(four.links).length).toBe(1);
    expect(four.routes6.filter(({ dev }) => dev === "eth0")).toEqual([]);
    const both = await shown(
      plan(
        onBridge(2, {
          addresses: [
            { address: "10.77.0.2", prefixLength: 24 },
            { address: "fd00:77::2", prefixLength: 64 },
          ],
          gateways: [HOST4, HOST6],
        }),
      ),
    );
    const global = info(both.links).find(({ local }) => local === "fd00:77::2")!;
    expect(global).toMatchObject({ prefixlen: 64, scope: "global" });
    expect(global.tentative).toBeUndefined();
    expect(both.routes6).toContainEqual(expect.objectContaining({ dst: "default", gateway: HOST6, dev: "eth0" }));
    const script = "cd /proc/sys/net/ipv6/conf/eth0; cat disable_ipv6 accept_ra";
    const six = onBridge(2, { addresses: [{ address: "fd00:77::2", prefixLength: 64 }], gateways: [HOST6] });
    expect((await stage.run(script, plan(onBridge(2)))).stdout).toBe("1\n1\n");
    expect((await stage.run(script, plan(six))).stdout).toBe("0\n0\n");
  });

  rooted("reaches the host over both families, and is reached", async () => {
    const listening = createServer((socket) => socket.end("host\n"));
    await new Promise<void>((resolve) => listening.listen(7, "::", resolve));
    const addresses = [
      { address: "10.77.0.2", prefixLength: 24 },
      { address: "fd00:77::2", prefixLength: 64 },
    ];
    const container = await sleeping("box", plan(onBridge(2, { addresses })));
    expect(await askFrom(container, HOST4)).toBe("host");
    expect(await askFrom(container, HOST6)).toBe("host");
    expect(await ask("10.77.0.2")).toBe("box");
    await container.end();
    await new Promise((resolve) => listening.close(resolve));
  });

  rooted("has several interfaces, and routes by each", async () => {
    const first = onBridge(2, {
      routes: [{ destination: "10.99.0.0/16", via: "10.77.0.9" }, { destination: "10.98.0.0/24" }],
    });
    const second = onBridge(3, { name: "eth1", addresses: [{ address: "10.78.0.3", prefixLength: 24 }], gateways: [] });
    const { routes4, links } = await shown(plan(first, second));
    expect(links.map(({ ifname }) => ifname)).toEqual(expect.arrayContaining(["lo", "eth0", "eth1"]));
    expect(routes4).toEqual([
      expect.objectContaining({ dst: "default", gateway: HOST4, dev: "eth0" }),
      expect.objectContaining({ dst: "10.77.0.0/24", dev: "eth0" }),
      expect.objectContaining({ dst: "10.78.0.0/24", dev: "eth1" }),
      expect.objectContaining({ dst: "10.98.0.0/24", dev: "eth0" }),
      expect.objectContaining({ dst: "10.99.0.0/16", gateway: "10.77.0.9", dev: "eth0" }),
    ]);
  });

  rooted("has a gateway that is on no network of its own", async () => {
    const far = onBridge(2, {
      addresses: [
        { address: "10.77.0.2", prefixLength: 32 },
        { address: "fd00:77::2", prefixLength: 128 },
      ],
      gateways: [HOST4, HOST6],
    });
    const { routes4, routes6 } = await shown(plan(far));
    expect(routes4).toMatchObject([
      { dst: "default", gateway: HOST4 },
      { dst: HOST4, dev: "eth0" },
    ]);
    expect(routes6).toContainEqual(expect.objectContaining({ dst: HOST6, dev: "eth0" }));
    expect(routes6).toContainEqual(expect.objectContaining({ dst: "default", gateway: HOST6 }));
  });

  rooted("has the interface's sysctls, with dots in its name too", async () => {
    const wanted = onBridge(2, {
      name: "a.b",
      sysctls: { "net.ipv4.conf.IFNAME.forwarding": "1", "net/ipv4/neigh/IFNAME/gc_stale_time": "77" },
    });
    const script = "cat /proc/sys/net/ipv4/conf/a.b/forwarding /proc/sys/net/ipv4/neigh/a.b/gc_stale_time";
    expect((await stage.run(script, plan(wanted))).stdout).toBe("1\n77\n");
    const outOfPlace = { "net.ipv4.ip_forward": "1", "kernel.IFNAME": "1", "net.ipv4.conf.IFNAME../x": "1" };
    for (const [key, value] of Object.entries(outOfPlace))
      expect(await failureOf(stage.run("", plan(onBridge(2, { sysctls: { [key]: value } }))))).toMatchObject({
        code: "invalid",
      });
  });

  rooted("sets linux.sysctl of the interface after it is there", async () => {
    const change = (config: OciConfig) => {
      config.linux!.sysctl = { "net.ipv4.conf.eth0.forwarding": "1" };
    };
    const { stdout } = await stage.run("cat /proc/sys/net/ipv4/conf/eth0/forwarding", { ...plan(onBridge(2)), change });
    expect(stdout).toBe("1\n");
  });

  rooted("in a user namespace has it all the same, and its root administers it", async () => {
    const change = (config: OciConfig) => {
      asUserNamespace(config);
      mayAdminister(config);
    };
    const { stdout, stderr } = await stage.run(`ip link set eth0 mtu 1300; ${SHOW}`, {
      change,
      network: { interfaces: [onBridge(2)], resolverPort: 5300 },
    });
    expect(stderr).toBe("");
    const { links, routes4 } = parseShown(stdout);
    expect(links.find(({ ifname }) => ifname === "eth0")).toMatchObject({ address: mac(2), mtu: 1300 });
    expect(routes4[0]).toMatchObject({ dst: "default", gateway: HOST4 });
  });

  rooted("that waits for its start has its interface already", async () => {
    const request = stage.request(["/bin/sh", "-c", SHOW], plan(onBridge(2)));
    const created = await stage.runtime.create(request);
    expect(linksLeft()).toContain(`rn-${pairs}`);
    await created.abandon();
    await until(() => linksLeft().length === 0, "it goes with the container");
  });
});

describe("a port of the bridge", () => {
  rooted("is isolated from others that are, reaches those that are not, and the host", async () => {
    const [one, two, three] = await Promise.all([
      sleeping("one", plan(onBridge(2, { isolated: true }))),
      sleeping("two", plan(onBridge(3, { isolated: true }))),
      sleeping("three", plan(onBridge(4))),
    ]);
    for (const host of [2, 3, 4]) await ask(`10.77.0.${host}`);
    expect(await askFrom(one, "10.77.0.3")).toBe("");
    expect(await askFrom(one, "10.77.0.4")).toBe("three");
    expect(await askFrom(three, "10.77.0.3")).toBe("two");
    await Promise.all([one, two, three].map((container) => container.end()));
  });

  rooted("has its container's address for good: a new container with it is reached at once", async () => {
    const first = await sleeping("first", plan(onBridge(2)));
    expect(await ask("10.77.0.2")).toBe("first");
    const port = () => forwarding().filter(({ macAddress }) => macAddress === mac(2));
    const firstIndex = routes.findLink(`rn-${pairs}`)!.index;
    expect(port()).toEqual([{ macAddress: mac(2), index: firstIndex, bridgeIndex, vlan: 0, type: "static" }]);
    expect(routes.findLink(firstIndex)!.port).toEqual({ isolated: false, hairpin: false, learning: false });
    // The first one's port is still there when the second one's is made.
    const second = await sleeping("second", plan(onBridge(2)));
    const secondIndex = routes.findLink(`rn-${pairs}`)!.index;
    expect(port()).toEqual([{ macAddress: mac(2), index: secondIndex, bridgeIndex, vlan: 0, type: "static" }]);
    await first.end();
    await until(() => linksLeft().length === 1, "the first one's port goes");
    expect(port().length).toBe(1);
    expect(await ask("10.77.0.2")).toBe("second");
    await second.end();
  });

  rooted("is unplugged when its container ends, though a connection keeps its namespace", async () => {
    ip("neigh", "flush", "dev", "rn-br"); // who had the address before, with another MAC
    const first = await stage.sleeper({
      ...plan(onBridge(2, { macAddress: mac(0x99) })),
      args: ["/bin/sh", "-c", server("first", "push @open, $c")],
    });
    const port = `rn-${pairs}`;
    const { said, socket } = await askAndStay("10.77.0.2");
    expect(said).toBe("first");
    await first.end();
    expect(routes.findLink(port)).toMatchObject({ masterIndex: 0 });
    const second = await sleeping("second", plan(onBridge(2)));
    ip("neigh", "flush", "dev", "rn-br");
    expect(await ask("10.77.0.2")).toBe("second");
    expect(JSON.parse(ip("-j", "neigh", "show", "10.77.0.2"))).toMatchObject([{ lladdr: mac(2) }]);
    socket.destroy();
    routes.removeLink(port); // it would be a minute
    await second.end();
  });

  rooted("cannot take over another's address by using it", async () => {
    const victim = await sleeping("victim", plan(onBridge(2)));
    const before = forwarding().find(({ macAddress }) => macAddress === mac(2));
    expect(await ask("10.77.0.2")).toBe("victim");
    const listening = createServer((socket) => socket.end("host\n"));
    await new Promise<void>((resolve) => listening.listen(7, HOST4, resolve));
    const attacker = await sleeping("attacker", { ...plan(onBridge(3)), change: mayAdminister });
    const script = `ip link set eth0 address ${mac(2)}; timeout 1 bash -c 'read line <>/dev/tcp/${HOST4}/7'; cat /sys/class/net/eth0/address`;
    expect((await stage.exec(attacker, script)).stdout).toBe(`${mac(2)}\n`);
    expect(forwarding().filter(({ macAddress }) => macAddress === mac(2))).toEqual([before!]);
    expect(await ask("10.77.0.2")).toBe("victim");
    await Promise.all([victim.end(), attacker.end(), new Promise((resolve) => listening.close(resolve))]);
  });

  rooted("leads to addresses of a bridge inside of its container", async () => {
    const script = [
      "ip address flush dev eth0",
      "ip link add br0 address 02:99:00:00:00:01 type bridge",
      "ip link set eth0 master br0",
      "ip link set br0 up",
      "ip address add 10.77.0.50/24 dev br0",
      server("nested"),
    ].join(" && ");
    const args = ["/bin/sh", "-c", script];
    const nested = await stage.sleeper({ ...plan(onBridge(2)), change: mayAdminister, args });
    const neighbour = await sleeping("neighbour", plan(onBridge(3)));
    expect(await ask("10.77.0.50")).toBe("nested");
    expect(await askFrom(neighbour, "10.77.0.50")).toBe("nested");
    expect(forwarding().some(({ macAddress }) => macAddress === "02:99:00:00:00:01")).toBe(false);
    await Promise.all([nested.end(), neighbour.end()]);
  });

  rooted("sends back to its own container what comes from it, if it is to", async () => {
    for (const hairpin of [false, true]) {
      const container = await sleeping("box", plan(onBridge(2, { hairpin })));
      expect(routes.findLink(`rn-${pairs}`)!.port!.hairpin).toBe(hairpin);
      await container.end();
    }
  });
});

describe("a macvlan interface", () => {
  rooted("is above a link of the host, with an address of its own on that link's network", async () => {
    ip("link", "add", "rn-parent", "type", "veth", "peer", "name", "rn-wire");
    ip("link", "set", "rn-wire", "master", "rn-br", "up");
    ip("link", "set", "rn-parent", "up");
    const parentIndex = routes.findLink("rn-parent")!.index;
    const on = (host: number): NetworkInterface => ({
      ...onBridge(host),
      link: { type: "macvlan", parentIndex, mode: "bridge" },
    });
    const container = await sleeping("above", plan(on(2)));
    const other = await sleeping("other", plan(on(3)));
    expect(await ask("10.77.0.2")).toBe("above");
    expect(await askFrom(other, "10.77.0.2")).toBe("above");
    const { stdout } = await stage.exec(container, "ip -d -j link show eth0");
    const [link] = JSON.parse(stdout) as { address: string; linkinfo: unknown }[];
    expect(link).toMatchObject({ address: mac(2), linkinfo: { info_kind: "macvlan", info_data: { mode: "bridge" } } });
    await Promise.all([container.end(), other.end()]);
    routes.removeLink("rn-parent");
  });
});

describe("queries for names", () => {
  const dns = (port: number, name: string) =>
    `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.11", LocalPort => ${port}, Proto => "udp") or die; print "ready\\n"; close STDOUT; while ($a = $s->recv($q, 512)) { $s->send("${name}:$q", 0, $a) }'`;

  rooted("go to the resolver's port, answers come from 53, and port 53 is the container's own elsewhere", async () => {
    const query = (to: string) =>
      `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => "${to}", PeerPort => 53, Proto => "udp"); $s->send("q"); $s->recv($a, 512); print "$a ", $s->peerport, "\\n"'`;
    const own = dns(53, "own").replace("127.0.0.11", "127.0.0.1");
    const tcp = `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.11", LocalPort => 5353, Listen => 1) or die; print "ready\\n"; close STDOUT; $c = $s->accept; print $c "tcp\\n"'`;
    const background = [dns(5353, "resolver"), own, tcp].map(
      (command, index) => `mkfifo /tmp/f${index}; ${command} >/tmp/f${index} & read ready </tmp/f${index}`,
    );
    const asking = [
      query("127.0.0.11"),
      query("127.0.0.1"),
      "bash -c 'read line <>/dev/tcp/127.0.0.11/53 && echo $line'",
    ];
    const { stdout, stderr } = await stage.run(`${[...background, ...asking].join("\n")}`, {
      change: (config) => config.mounts!.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" }),
      network: { interfaces: [], resolverPort: 5353 },
    });
    expect(stderr).toBe("");
    expect(stdout).toBe("resolver:q 53\nown:q 53\ntcp\n");
  });
});

rooted("a link of ours is removed by its number, and one that has gone is no error", async () => {
  ip("link", "add", "rn-gone", "type", "bridge");
  const [{ ifindex }] = JSON.parse(ip("-j", "link", "show", "rn-gone"));
  await stage.runtime.removeLink(ifindex);
  expect(ip("-br", "link")).not.toContain("rn-gone");
  await stage.runtime.removeLink(ifindex);
  expect(await failureOf(stage.runtime.removeLink(1))).toMatchObject({ code: "kernel" }); // loopback stays
});

describe("a start with interfaces", () => {
  rooted("is refused for what is no interface, and without a network namespace of its own", async () => {
    const bad: Changes[] = [
      { name: "" },
      { name: "a/b" },
      { name: "sixteen-bytes-xx" },
      { macAddress: "02:00" },
      { addresses: [{ address: "10.0.0.256", prefixLength: 8 }] },
      { gateways: ["nowhere"] },
      { routes: [{ destination: "10.0.0.1/8" }] },
    ];
    for (const changes of bad)
      expect(await failureOf(stage.run("", plan(onBridge(2, changes))))).toMatchObject({ code: "invalid" });
    const change = (config: OciConfig) => {
      config.linux!.namespaces = config.linux!.namespaces!.filter(({ type }) => type !== "network");
    };
    expect(await failureOf(stage.run("", { ...plan(onBridge(2)), change }))).toMatchObject({ code: "invalid" });
  });

  rooted("says what could not be done, and leaves what was there as it was", async () => {
    ip("link", "add", "rn-0", "type", "veth", "peer", "name", "rn-taken");
    const before = ip("-d", "link", "show", "rn-0");
    const taken = onBridge(2, { link: { type: "veth", hostName: "rn-0", bridgeIndex, isolated: true, hairpin: true } });
    const error = await failureOf(stage.run("", plan(taken)));
    expect(error).toBeInstanceOf(LighterError);
    expect((error as LighterError).message).toBe(
      "interface eth0, and its other end on the host: netlink(7): EEXIST (file exists)",
    );
    expect(ip("-d", "link", "show", "rn-0")).toBe(before);
    const noBridge = onBridge(2, {
      link: { type: "veth", hostName: "rn-00", bridgeIndex: 9999, isolated: true, hairpin: true },
    });
    expect(await failureOf(stage.run("", plan(noBridge)))).toMatchObject({ code: "kernel" });
    const noWay = onBridge(2, { routes: [{ destination: "10.99.0.0/16", via: "192.0.2.1" }] });
    expect(((await failureOf(stage.run("", plan(noWay)))) as LighterError).message).toBe(
      "routes by eth0: netlink(7): ENETUNREACH (network is unreachable)",
    );
    routes.removeLink("rn-0");
    await until(() => linksLeft().length === 0, "nothing is left of the failed starts");
  });

  rooted("leaves no link behind, however often", async () => {
    for (let round = 0; round < 15; round++) {
      const runs = [2, 3, 4, 5].map((host) => stage.run(["/bin/true"], plan(onBridge(host))));
      for (const { exitCode } of await Promise.all(runs)) expect(exitCode).toBe(0);
    }
    await until(() => linksLeft().length === 0, "all pairs have gone");
    expect(forwarding().filter(({ type }) => type === "static")).toEqual([]);
  });
});

describe("a running container", () => {
  const further = (host: number, changes: Changes = {}) =>
    onBridge(host, {
      name: "eth1",
      addresses: [{ address: `10.78.0.${host}`, prefixLength: 24 }],
      gateways: [],
      ...changes,
    });
  const inside = async (container: Sleeper) => parseShown((await stage.exec(container, SHOW)).stdout);
  const names = ({ links }: { links: ShownLink[] }) =>
    links.flatMap(({ ifname }) => (/^eth/.test(ifname) ? [ifname] : []));

  for (const [kind, change] of [
    ["plain", () => {}],
    ["in a user namespace", asUserNamespace],
  ] as const)
    rooted(`gets a further interface, and loses it again: ${kind}`, async () => {
      const container = await sleeping("box", { ...plan(onBridge(2)), change });
      const { pid } = container;
      await stage.runtime.connect({ containerPid: pid, interface: further(5), resolverPort: 5353 });
      const connected = await inside(container);
      expect(names(connected)).toEqual(["eth0", "eth1"]);
      expect(connected.links.find(({ ifname }) => ifname === "eth1")).toMatchObject({
        address: mac(5),
        addr_info: [{ local: "10.78.0.5", prefixlen: 24 }],
      });
      routes.replaceAddress(bridgeIndex, { address: "10.78.0.1", prefixLength: 24 });
      expect(await ask("10.78.0.5")).toBe("box");
      expect(await ask("10.77.0.2")).toBe("box");
      expect(await stage.runtime.disconnect({ containerPid: pid, name: "eth1", gateways: [] })).toBe(true);
      expect(await stage.runtime.disconnect({ containerPid: pid, name: "eth1", gateways: [] })).toBe(false);
      expect(names(await inside(container))).toEqual(["eth0"]);
      expect(linksLeft()).not.toContain(`rn-${pairs}`);
      await container.end();
    });

  rooted("has its default route by what is left, and by what came last", async () => {
    const container = await sleeping("box", plan(onBridge(2)));
    const request = { containerPid: container.pid };
    await stage.runtime.connect({ ...request, interface: further(5, { gateways: ["10.78.0.1"] }) });
    expect((await inside(container)).routes4[0]).toMatchObject({ dst: "default", gateway: "10.78.0.1", dev: "eth1" });
    expect(
      await stage.runtime.disconnect({ ...request, name: "eth1", gateways: [{ gateway: HOST4, through: "eth0" }] }),
    ).toBe(true);
    expect((await inside(container)).routes4[0]).toMatchObject({ dst: "default", gateway: HOST4, dev: "eth0" });
    await container.end();
  });

  rooted("keeps what it has when a further interface cannot be made", async () => {
    const container = await sleeping("box", plan(onBridge(2)));
    const before = await inside(container);
    const request = { containerPid: container.pid };
    const again = failureOf(stage.runtime.connect({ ...request, interface: onBridge(3) }));
    expect(await again).toMatchObject({ code: "kernel", detail: { errno: "EEXIST" } });
    const noWay = further(5, { routes: [{ destination: "10.99.0.0/16", via: "192.0.2.1" }] });
    const failed = (await failureOf(stage.runtime.connect({ ...request, interface: noWay }))) as LighterError;
    expect(failed.message).toBe("routes by eth1: netlink(7): ENETUNREACH (network is unreachable)");
    expect(linksLeft()).not.toContain(`rn-${pairs}`);
    expect(await inside(container)).toEqual(before);
    for (const name of ["lo", "a/b", ""])
      expect(await failureOf(stage.runtime.disconnect({ ...request, name, gateways: [] }))).toMatchObject({
        code: "invalid",
      });
    await container.end();
    const gone = failureOf(stage.runtime.connect({ ...request, interface: further(5) }));
    expect(await gone).toMatchObject({ code: "kernel", detail: { errno: "ESRCH" } });
    await until(() => linksLeft().length === 0, "nothing is left");
  });
});
