// needs: ip nft
import { afterAll, beforeAll, expect } from "bun:test";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** What networks are in the kernel: bridges, their addresses and settings, and what a daemon that comes back makes of them. */

const rooted = testIf(isRoot, "needs root");
let daemon: TestDaemon;

beforeAll(async () => {
  if (isRoot) daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

async function create(body: object): Promise<string> {
  const answer = await daemon.request("POST", "/networks/create", body);
  if (answer.status !== 201) throw new Error(`create: ${answer.status} ${answer.text}`);
  return answer.json.Id;
}

const bridgeOf = (id: string) => `br-${id.slice(0, 12)}`;
const show = (name: string) => JSON.parse(daemon.network.run("ip", "-j", "-d", "addr", "show", name))[0];
const addressesOf = (name: string): string[] =>
  show(name)
    .addr_info.filter(({ scope }: { scope: string }) => scope === "global")
    .map(({ local, prefixlen }: { local: string; prefixlen: number }) => `${local}/${prefixlen}`);
const sysctl = (name: string) => daemon.network.run("cat", `/proc/sys/net/${name}`).trim();
const tables = () => daemon.network.run("nft", "list", "tables");

rooted("a daemon whose networks nobody uses leaves the host's links, rules and settings alone", async () => {
  await daemon.kill();
  daemon.network.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"); // a new namespace has what the host has
  await daemon.launch();
  expect(daemon.network.links()).toEqual([]);
  expect(tables()).toBe("");
  expect(sysctl("ipv4/ip_forward")).toBe("0");
});

rooted(
  "a bridge network has a bridge with its gateway's address and nothing else, and goes without a trace",
  async () => {
    const Options = { "com.docker.network.driver.mtu": "1400" };
    const id = await create({
      Name: "net",
      IPAM: { Config: [{ Subnet: "10.1.0.0/24", Gateway: "10.1.0.9" }] },
      Options,
    });
    const name = bridgeOf(id);
    expect(daemon.network.links()).toEqual([name]);
    expect(show(name)).toMatchObject({
      mtu: 1400,
      linkinfo: { info_kind: "bridge" },
      flags: expect.arrayContaining(["UP"]),
    });
    expect(addressesOf(name)).toEqual(["10.1.0.9/24"]);
    expect(sysctl(`ipv6/conf/${name}/disable_ipv6`)).toBe("1");
    expect(sysctl("ipv4/ip_forward")).toBe("1");
    expect(tables()).toContain("table inet lighter-");
    expect((await daemon.request("DELETE", "/networks/net")).status).toBe(204);
    expect(daemon.network.links()).toEqual([]);
  },
);

rooted(
  "a network with IPv6 has a bridge with an address of each family, and believes no router behind it",
  async () => {
    const id = await create({ Name: "six", EnableIPv6: true, IPAM: { Config: [{ Subnet: "fd00:7::/64" }] } });
    const name = bridgeOf(id);
    expect(addressesOf(name)).toEqual(["172.18.0.1/16", "fd00:7::1/64"]);
    expect(sysctl(`ipv6/conf/${name}/disable_ipv6`)).toBe("0");
    expect(sysctl(`ipv6/conf/${name}/accept_ra`)).toBe("0");
    await daemon.request("DELETE", "/networks/six");
  },
);

rooted("a subnet that the host has an address or a route in is not chosen", async () => {
  const { network } = daemon;
  network.run("ip", "link", "add", "hostbr", "type", "bridge");
  try {
    network.run("ip", "addr", "add", "172.18.5.5/24", "dev", "hostbr");
    network.run("ip", "link", "set", "hostbr", "up");
    network.run("ip", "route", "add", "172.19.128.0/17", "dev", "hostbr");
    const id = await create({ Name: "net" });
    expect(addressesOf(bridgeOf(id))).toEqual(["172.20.0.1/16"]);
    await daemon.request("DELETE", "/networks/net");
  } finally {
    network.run("ip", "link", "del", "hostbr");
  }
});

rooted("a bridge of that name which is the host's is used as it is, and stays when the network goes", async () => {
  const { network } = daemon;
  const Options = { "com.docker.network.bridge.name": "hostbr" };
  network.run("ip", "link", "add", "hostbr", "type", "bridge");
  try {
    network.run("ip", "addr", "add", "10.5.0.5/24", "dev", "hostbr");
    await create({ Name: "net", Options });
    expect(addressesOf("hostbr")).toEqual(["10.5.0.5/24", "172.18.0.1/16"]);
    await daemon.request("DELETE", "/networks/net");
    expect(network.links()).toEqual(["hostbr"]);
  } finally {
    network.run("ip", "link", "del", "hostbr");
  }
  await create({ Name: "net", Options });
  expect(network.links()).toEqual(["hostbr"]);
  await daemon.request("DELETE", "/networks/net");
  expect(network.links()).toEqual([]);
  expect(
    await daemon.request("POST", "/networks/create", {
      Name: "net",
      Options: { ...Options, "com.docker.network.bridge.name": "lo" },
    }),
  ).toMatchObject({
    status: 500,
    json: { message: "existing interface lo is not a bridge" },
  });
});

rooted("a daemon that comes back makes missing bridges as they were, and removes what no network has", async () => {
  const kept = await create({ Name: "kept" });
  const { network } = daemon;
  const alias = show(bridgeOf(kept)).ifalias as string;
  const addresses = addressesOf(bridgeOf(kept));
  await daemon.kill();
  network.run("ip", "link", "del", bridgeOf(kept));
  network.run("ip", "link", "add", "left", "type", "bridge");
  network.run("ip", "link", "set", "left", "alias", `${alias.slice(0, -64)}${"0".repeat(64)}`);
  network.run("ip", "link", "add", "foreign", "type", "bridge");
  network.run("ip", "link", "set", "foreign", "alias", "lighter of somebody else");
  await daemon.launch();
  expect(network.links().sort()).toEqual([bridgeOf(kept), "foreign"].sort());
  expect(addressesOf(bridgeOf(kept))).toEqual(addresses);
  await daemon.kill();
  network.run("ip", "addr", "add", "10.88.0.1/24", "dev", bridgeOf(kept));
  network.run("ip", "addr", "del", addresses[0]!, "dev", bridgeOf(kept));
  await daemon.launch();
  expect(addressesOf(bridgeOf(kept))).toEqual(addresses);
  await daemon.request("DELETE", "/networks/kept");
  network.run("ip", "link", "del", "foreign");
  expect(network.links()).toEqual([]);
});

const links = isRoot
  ? Bun.spawnSync([
      "unshare",
      "--net",
      "sh",
      "-c",
      "ip link add x0 type dummy && ip link add link x0 name m0 type macvlan",
    ])
  : undefined;
const withMacvlan = testIf(links?.success ?? false, isRoot ? "this kernel has no macvlan" : "needs root");

withMacvlan(
  "a macvlan network has its parent: one that is there, a VLAN that is made, or one that leads nowhere",
  async () => {
    const { network } = daemon;
    network.run("ip", "link", "add", "eth7", "type", "dummy");
    network.run("ip", "link", "set", "eth7", "up");
    const macvlan = (Name: string, parent?: string) =>
      create({ Name, Driver: "macvlan", Options: parent === undefined ? {} : { parent } });
    await macvlan("own", "eth7");
    await macvlan("vlan", "eth7.12");
    const dummy = `dm-${(await macvlan("nowhere")).slice(0, 12)}`;
    expect(network.links().sort()).toEqual(["eth7", "eth7.12", dummy].sort());
    expect(JSON.parse(network.run("ip", "-j", "-d", "link", "show", "eth7.12"))[0].linkinfo).toMatchObject({
      info_kind: "vlan",
      info_data: { id: 12 },
    });
    for (const [parent, message] of [
      ["eth7.4095", "vlan id must be between 1-4094, received: 4095"],
      ["eth8.1", "-o parent interface was not found on the host: eth8"],
      ["eth7.x", "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)"],
      [
        "eth7.1.2",
        "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received eth7.1.2",
      ],
      ["eth8", "invalid subinterface vlan name eth8, example formatting is eth0.10"],
    ] as const) {
      const body = { Name: "bad", Driver: "macvlan", Options: { parent } };
      expect((await daemon.request("POST", "/networks/create", body)).json).toEqual({ message });
    }
    for (const name of ["own", "vlan", "nowhere"]) await daemon.request("DELETE", `/networks/${name}`);
    expect(network.links()).toEqual(["eth7"]);
    network.run("ip", "link", "del", "eth7");
  },
);

rooted("a daemon that is to leave rules and forwarding alone does so", async () => {
  const flags = ["--iptables=false", "--ip6tables=false", "--ip-forward=false"];
  await using quiet = await TestDaemon.start({ flags });
  quiet.network.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward");
  const forwards = () => quiet.network.run("cat", "/proc/sys/net/ipv4/ip_forward").trim();
  expect((await quiet.request("POST", "/networks/create", { Name: "net" })).status).toBe(201);
  expect(quiet.network.links()).toHaveLength(1);
  expect([quiet.network.run("nft", "list", "tables"), forwards()]).toEqual(["", "0"]);
});

rooted("a daemon without rules has the host forward all the same", async () => {
  await using quiet = await TestDaemon.start({ flags: ["--iptables=false", "--ip6tables=false"] });
  quiet.network.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward");
  await quiet.request("POST", "/networks/create", { Name: "net" });
  expect(quiet.network.run("nft", "list", "tables")).toBe("");
  expect(quiet.network.run("cat", "/proc/sys/net/ipv4/ip_forward")).toBe("1\n");
});

rooted("rules that somebody has flushed are there again", async () => {
  await create({ Name: "net" });
  const before = daemon.network.run("nft", "list", "ruleset");
  expect(before).toContain("br-");
  daemon.network.run("nft", "flush", "ruleset");
  await until(() => tables().includes("lighter-"), "the kernel has told the daemon");
  expect(daemon.network.run("nft", "list", "ruleset")).toBe(before);
  await daemon.request("DELETE", "/networks/net");
});
