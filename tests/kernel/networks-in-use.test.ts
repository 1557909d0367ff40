// needs: ip
import { afterAll, beforeAll, expect } from "bun:test";
import { readFileSync } from "node:fs";
import type { Answer } from "../support/api-client.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** Networks with containers in them: who keeps them, and what the daemon's settings come to there. */

const rooted = testIf(isRoot, "needs root");
let daemon: TestDaemon;

beforeAll(async () => {
  if (isRoot) daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const inNetwork = (NetworkMode: string) => ({ HostConfig: { ...hostUsr, NetworkMode } });
const sleeper = (network: string) => ({ Cmd: ["/bin/sleep", "1000"], ...inNetwork(network) });

/** What a command in a container of the network prints. */
async function outputOf(target: TestDaemon, network: string, script: string, more: object = {}): Promise<string> {
  const plain = 'ip() { command ip -color=never "$@"; }';
  const id = await target.create({
    Cmd: ["/bin/sh", "-c", `${plain}\n${script}`],
    Tty: true,
    ...inNetwork(network),
    ...more,
  });
  const { answer } = await target.wait(id, "next-exit");
  expect((await target.request("POST", `/containers/${id}/start`)).status).toBe(204);
  await answer;
  const { text } = await target.request("GET", `/containers/${id}/logs?stdout=1`);
  await target.request("DELETE", `/containers/${id}`);
  return text.replaceAll("\r", "").trim();
}

/** The kernel takes down the network namespaces of containers that have ended a moment later. */
const noLinks = () => eventually(() => expect(daemon.network.links()).toEqual([]));

const dangling = async () => {
  const filters = encodeURIComponent(JSON.stringify({ dangling: ["true"] }));
  const { json } = await daemon.request("GET", `/networks?filters=${filters}`);
  return json.map(({ Name }: { Name: string }) => Name);
};

rooted(
  "a network that a running container is in is not removed nor pruned; one of a stopped container is",
  async () => {
    const network = (await daemon.request("POST", "/networks/create", { Name: "used" })).json.Id;
    const id = await daemon.run(sleeper("used"), "user");
    expect(await daemon.request("DELETE", "/networks/used")).toMatchObject({
      status: 403,
      json: { message: `error while removing network: network used id ${network} has active endpoints` },
    });
    expect((await daemon.request("POST", "/networks/prune")).json).toEqual({ NetworksDeleted: null });
    expect(await dangling()).toEqual([]);
    const { Containers } = (await daemon.request("GET", "/networks/used")).json;
    expect(Containers).toEqual({
      [id]: {
        Name: "user",
        EndpointID: expect.stringMatching(/^[0-9a-f]{64}$/),
        MacAddress: "02:42:ac:12:00:02",
        IPv4Address: "172.18.0.2/16",
        IPv6Address: "",
      },
    });
    await daemon.kill();
    await daemon.launch();
    expect((await daemon.request("GET", "/networks/used")).json.Containers).toEqual(Containers);
    await daemon.request("POST", `/containers/${id}/kill`);
    await daemon.request("POST", `/containers/${id}/wait`);
    expect(await dangling()).toEqual(["used"]);
    expect((await daemon.request("POST", "/networks/prune")).json).toEqual({ NetworksDeleted: ["used"] });
    await noLinks();
    await daemon.request("DELETE", `/containers/${id}`);
  },
);

rooted(
  "who joins the network of a container that has joined another's has that one's names, and its ports",
  async () => {
    await daemon.request("POST", "/networks/create", { Name: "shared" });
    const owner = await daemon.run({ Hostname: "owner", ...sleeper("shared") }, "owner");
    const exposing = await daemon.request("POST", `/commit?container=${owner}&repo=exposing&changes=EXPOSE%2080`);
    expect(exposing.status).toBe(201);
    await daemon.run({ ...sleeper("container:owner"), Image: "exposing" }, "sidecar");
    const script = "hostname; cat /etc/hostname /etc/resolv.conf; grep owner /etc/hosts; readlink /proc/self/ns/net";
    const inOwner = await outputOf(daemon, "container:owner", script);
    expect(inOwner).toContain("nameserver 127.0.0.11");
    expect(await outputOf(daemon, "container:sidecar", script)).toBe(inOwner);
    expect(
      (
        await daemon.request("POST", "/containers/create", {
          Image: "exposing",
          HostConfig: { NetworkMode: "container:owner", PublishAllPorts: true },
        })
      ).json.message,
    ).toBe("conflicting options: port publishing and the container type network mode");
    for (const name of ["sidecar", "owner"]) await daemon.request("DELETE", `/containers/${name}?force=1`);
    await daemon.request("DELETE", "/images/exposing");
    await daemon.request("DELETE", "/networks/shared");
  },
);

rooted("the default network's subnet is one that nobody uses when its bridge is made", async () => {
  const host = (...argv: string[]) => daemon.network.run("ip", ...argv);
  host("link", "add", "docker0", "type", "bridge");
  host("address", "add", "172.17.0.1/16", "dev", "docker0");
  const address = "ip -4 -br addr show eth0 | tr -s ' ' | cut -d' ' -f3";
  expect(await outputOf(daemon, "bridge", address)).toBe("172.18.0.2/16");
  await eventually(() =>
    expect(daemon.log).toContain(
      'the default network avoids a subnet that the host uses" subnet=172.18.0.0/16 avoided=172.17.',
    ),
  );
  const [made = ""] = daemon.network.links().filter((name) => name.startsWith("lighter-"));
  for (const name of ["docker0", made]) host("link", "delete", name);
  expect(await outputOf(daemon, "bridge", address)).toBe("172.17.0.2/16");
  host("link", "delete", made);
});

rooted(
  "the default network's bridge is made for the first container, and is there for the next daemon if one runs",
  async () => {
    await noLinks();
    const id = await daemon.run(sleeper("bridge"));
    const bridges = () => daemon.network.links().filter((name) => name.startsWith("lighter-"));
    expect(bridges()).toHaveLength(1);
    await daemon.kill();
    await daemon.launch();
    expect(bridges()).toHaveLength(1);
    expect(await outputOf(daemon, "bridge", "ip -4 -br addr show eth0 | tr -s ' ' | cut -d' ' -f3")).toBe(
      "172.17.0.3/16",
    );
    await daemon.request("DELETE", `/containers/${id}?force=1`);
  },
);

rooted("what the settings say of the default network is so in its containers", async () => {
  const flags = [
    ...["--bip=10.9.0.1/24", "--fixed-cidr=10.9.0.128/25", "--default-gateway=10.9.0.9", "--mtu=1400"],
    ...["--ipv6", "--fixed-cidr-v6=fd00:9::/64"],
  ];
  await using set = await TestDaemon.start({ flags });
  const script = "ip -br addr show eth0; ip route show default; ip -6 route show default; cat /sys/class/net/eth0/mtu";
  const said = (await outputOf(set, "bridge", script)).replaceAll(/ +/g, " ").split("\n");
  expect(said[0]).toContain(" UP 10.9.0.128/24 fd00:9::2/64");
  expect(said[1]).toStartWith("default via 10.9.0.9 dev eth0");
  expect(said[2]).toStartWith("default via fd00:9::1 dev eth0");
  expect(said[3]).toBe("1400");
});

const PUBLISH_ALL = { HostConfig: { ...hostUsr, NetworkMode: "bridge", PublishAllPorts: true } };

rooted("a daemon without a default network has containers without one", async () => {
  await using without = await TestDaemon.start({ flags: ["--bridge=none"] });
  expect((await without.request("GET", "/networks/bridge")).status).toBe(404);
  const alone = await without.run({ ...sleeper("bridge"), ExposedPorts: { "80/tcp": {} }, ...PUBLISH_ALL }, "alone");
  const { Networks, Ports } = (await without.inspect(alone)).NetworkSettings;
  expect([Object.keys(Networks), Networks.bridge.IPAddress, Ports]).toEqual([["bridge"], "", {}]);
  expect(await outputOf(without, "", "ip -br link | cut -d' ' -f1")).toBe("lo");
  await without.kill();
  await without.launch();
  expect((await without.inspect(alone)).State.Running).toBe(true);
  await without.request("POST", "/networks/create", { Name: "net" });
  expect(await outputOf(without, "net", "ip -4 -br addr show eth0 | tr -s ' ' | cut -d' ' -f3")).toBe("172.17.0.2/16");
});

rooted(
  "containers of an internal network have no way out, and those of one without icc none to one another",
  async () => {
    await daemon.request("POST", "/networks/create", { Name: "inside", Internal: true });
    expect(await outputOf(daemon, "inside", "ip route show default; echo end")).toBe("end");
    await daemon.request("DELETE", "/networks/inside");
  },
);

rooted("127.0.0.1 leads to a network for as long as one of its ports is published there, whoever dies", async () => {
  const { Id } = (await daemon.request("POST", "/networks/create", { Name: "local" })).json;
  const setting = `/proc/sys/net/ipv4/conf/br-${Id.slice(0, 12)}/route_localnet`;
  const leads = () => daemon.network.run("cat", setting).trim();
  const at = (HostIp: string, HostPort: string) => ({
    Cmd: ["/bin/sleep", "1000"],
    HostConfig: { ...hostUsr, NetworkMode: "local", PortBindings: { "80/tcp": [{ HostIp, HostPort }] } },
  });
  daemon.network.run("ip", "address", "add", "192.0.2.9/32", "dev", "lo");
  const elsewhere = await daemon.run(at("192.0.2.9", "8081"));
  await daemon.run(sleeper("local"), "plain");
  expect(leads()).toBe("0");
  const anywhere = await daemon.run(at("", "8082"));
  const local = await daemon.run(at("127.0.0.1", "8083"));
  expect(leads()).toBe("1");
  await daemon.kill();
  await daemon.launch();
  expect(leads()).toBe("1");
  await daemon.request("DELETE", `/containers/${anywhere}?force=1`);
  expect(leads()).toBe("1");
  expect((await daemon.request("POST", "/networks/local/disconnect", { Container: local })).status).toBe(200);
  expect(leads()).toBe("0");
  expect((await daemon.request("POST", "/networks/local/connect", { Container: local })).status).toBe(200);
  expect(leads()).toBe("1");
  const { Pid } = (await daemon.inspect(local)).State;
  await daemon.kill();
  process.kill(Pid, "SIGKILL");
  await daemon.launch();
  await eventually(() => expect(leads()).toBe("0"));
  for (const id of [elsewhere, local, "plain"]) await daemon.request("DELETE", `/containers/${id}?force=1`);
  daemon.network.run("ip", "address", "del", "192.0.2.9/32", "dev", "lo");
  await daemon.request("DELETE", "/networks/local");
});

/** Of the time that a piece of work takes. One that has the thread for itself keeps a ping waiting for nearly all of it. */
const MOST = 0.7;

/** How long the work takes, and the slowest of the pings that are answered meanwhile. */
async function pingedDuring(work: Promise<Answer>): Promise<{ status: number; totalMs: number; slowestMs: number }> {
  const beganMs = performance.now();
  let isDone = false;
  const done = work.finally(() => (isDone = true));
  let slowestMs = 0;
  while (!isDone) {
    const sentMs = performance.now();
    expect((await daemon.request("GET", "/_ping")).status).toBe(200);
    slowestMs = Math.max(slowestMs, performance.now() - sentMs);
  }
  return { status: (await done).status, totalMs: performance.now() - beganMs, slowestMs };
}

rooted("who publishes very many ports does not keep others waiting for all of it", async () => {
  const ports = Array.from({ length: 40_000 }, (_, index) => `${index + 1}`);
  const PortBindings = Object.fromEntries(ports.map((HostPort) => [`${HostPort}/tcp`, [{ HostPort }]]));
  for (const Name of ["many", "other"]) await daemon.request("POST", "/networks/create", { Name });
  const id = await daemon.create({ ...sleeper("many"), HostConfig: { ...hostUsr, NetworkMode: "many", PortBindings } });
  const one = { ...hostUsr, NetworkMode: "other", PortBindings: { "1/tcp": [{ HostPort: "39999" }] } };
  const holder = await daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig: one });
  const start = () => daemon.request("POST", `/containers/${id}/start`);
  expect(await start()).toMatchObject({
    status: 500,
    json: { message: expect.stringContaining("Bind for 0.0.0.0:39999 failed: port is already allocated") },
  });
  expect((await daemon.inspect(id)).NetworkSettings.Networks.many.IPAddress).toBe("");
  await daemon.request("DELETE", `/containers/${holder}?force=1`);
  const started = await pingedDuring(start());
  expect(started.status).toBe(204);
  expect(started.slowestMs).toBeLessThan(started.totalMs * MOST);
  expect(await daemon.request("DELETE", "/networks/many")).toMatchObject({ status: 403 });
  await daemon.request("POST", "/networks/other/connect", { Container: id });
  const moved = await pingedDuring(daemon.request("POST", "/networks/many/disconnect", { Container: id }));
  expect(moved.status).toBe(200);
  expect(moved.slowestMs).toBeLessThan(moved.totalMs * MOST);
  const shown = (await daemon.inspect(id)).NetworkSettings.Ports;
  expect(Object.keys(shown)).toHaveLength(ports.length);
  expect(shown["40000/tcp"]).toEqual([{ HostIp: "0.0.0.0", HostPort: "40000" }]);
  await daemon.request("POST", `/containers/${id}/kill`);
  await daemon.request("POST", `/containers/${id}/wait`);
  expect((await start()).status).toBe(204); // all of them are free again
  await daemon.request("DELETE", `/containers/${id}?force=1`);
  for (const name of ["many", "other"]) expect((await daemon.request("DELETE", `/networks/${name}`)).status).toBe(204);
});

rooted("packets of a network may be too short for IPv6", async () => {
  const Options = { "com.docker.network.driver.mtu": "1000" };
  expect((await daemon.request("POST", "/networks/create", { Name: "short", Options })).status).toBe(201);
  expect(await outputOf(daemon, "short", "cat /sys/class/net/eth0/mtu; ip -6 addr show eth0")).toBe("1000");
  const id = await daemon.run(sleeper("bridge"));
  expect((await daemon.request("POST", "/networks/short/connect", { Container: id })).status).toBe(200);
  await daemon.request("DELETE", `/containers/${id}?force=1`);
  await daemon.request("DELETE", "/networks/short");
});

rooted("a container that cannot have its port where it is connected to has the interfaces it had", async () => {
  await daemon.request("POST", "/networks/create", { Name: "inside", Internal: true });
  await daemon.request("POST", "/networks/create", { Name: "way-out" });
  const PortBindings = { "80/tcp": [{ HostPort: "8080" }] };
  const body = (network: string) => ({
    Cmd: ["/bin/sleep", "9"],
    HostConfig: { ...inNetwork(network).HostConfig, PortBindings },
  });
  const ids = [await daemon.run(body("bridge")), await daemon.run(body("inside"))];
  const { Pid } = (await daemon.inspect(ids[1]!)).State;
  const seen = () => [daemon.network.links(), readFileSync(`/proc/${Pid}/net/dev`, "utf8").match(/\w+:/g)];
  const before = seen();
  expect((await daemon.request("POST", "/networks/way-out/connect", { Container: ids[1] })).status).toBe(500);
  expect(seen()).toEqual(before);
  await daemon.request("DELETE", `/containers/${ids[0]}?force=1`);
  expect((await daemon.request("POST", "/networks/way-out/connect", { Container: ids[1] })).status).toBe(200);
  expect(seen()[1]).toContain("eth1:");
  await daemon.request("DELETE", `/containers/${ids[1]}?force=1`);
  for (const network of ["inside", "way-out"]) await daemon.request("DELETE", `/networks/${network}`);
});

/** If the kernel has them, and dummy links and VLANs. */
const withKind = (kind: string) => {
  const script = `ip link add x0 type dummy && ip link add link x0 x0.1 type vlan id 1 && ip link add link x0 name m0 type ${kind}`;
  const isThere = isRoot && Bun.spawnSync(["unshare", "--net", "sh", "-c", script]).success;
  return testIf(isThere, isRoot ? `this kernel has no ${kind}, dummy links or VLANs` : "needs root");
};
const withMacvlan = withKind("macvlan");
const withIpvlan = withKind("ipvlan");

withMacvlan("a container of a macvlan network is on the parent, with the router of the network", async () => {
  const { network } = daemon;
  network.run("ip", "link", "add", "eth7", "type", "dummy");
  network.run("ip", "link", "set", "eth7", "up");
  const IPAM = { Config: [{ Subnet: "10.3.0.0/24", Gateway: "10.3.0.254", IPRange: "10.3.0.64/28" }] };
  const Options = { parent: "eth7", macvlan_mode: "bridge" };
  await daemon.request("POST", "/networks/create", { Name: "lan", Driver: "macvlan", IPAM, Options });
  const said = await outputOf(daemon, "lan", "ip -4 -br addr show eth0; ip route show default; ip -d link show eth0");
  expect(said).toContain("10.3.0.64/24");
  expect(said).toContain("default via 10.3.0.254");
  expect(said).toContain("macvlan mode bridge");
  await daemon.request("DELETE", "/networks/lan");
  network.run("ip", "link", "del", "eth7");
});

withMacvlan("a macvlan network without a parent leads from container to container and nowhere else", async () => {
  await daemon.request("POST", "/networks/create", {
    Name: "island",
    Driver: "macvlan",
    IPAM: { Config: [{ Subnet: "10.4.0.0/24" }] },
  });
  expect(await outputOf(daemon, "island", "ip -4 route")).toBe(
    "10.4.0.0/24 dev eth0 proto kernel scope link src 10.4.0.2",
  );
  await daemon.request("DELETE", "/networks/island");
});

withMacvlan("in mode passthru the parent has the container's MAC, as long as there is one", async () => {
  const { network } = daemon;
  const macOf = () => JSON.parse(network.run("ip", "-j", "link", "show", "eth7"))[0].address;
  network.run("sh", "-c", "ip link add eth7 type veth peer name wire && ip link set eth7 up && ip link set wire up");
  const before = macOf();
  const Options = { parent: "eth7", macvlan_mode: "passthru" };
  await daemon.request("POST", "/networks/create", { Name: "whole", Driver: "macvlan", Options });
  const id = await daemon.run({ ...sleeper("whole"), MacAddress: "02:42:ac:11:00:99" });
  expect(macOf()).toBe("02:42:ac:11:00:99");
  await daemon.request("DELETE", `/containers/${id}?force=1`);
  await eventually(() => expect(macOf()).toBe(before));
  await daemon.request("DELETE", "/networks/whole");
  network.run("ip", "link", "del", "eth7");
});

withIpvlan("containers of an ipvlan network have the parent's MAC, and in mode l3 routes without routers", async () => {
  const { network } = daemon;
  network.run("sh", "-c", "ip link add eth7 type veth peer name wire && ip link set eth7 up && ip link set wire up");
  const mac = JSON.parse(network.run("ip", "-j", "link", "show", "eth7"))[0].address;
  const create = async (Name: string, Options: object, ...Subnets: string[]) => {
    const IPAM = { Config: Subnets.map((Subnet) => ({ Subnet })) };
    const body = { Name, Driver: "ipvlan", EnableIPv6: Subnets.length > 1, IPAM, Options };
    expect((await daemon.request("POST", "/networks/create", body)).status).toBe(201);
  };
  const command = "ip -d link show eth0; ip -4 route show default; ip -6 route show default";
  await create("flat", { parent: "eth7.5", ipvlan_flag: "vepa" }, "10.5.0.0/24");
  const flat = await outputOf(daemon, "flat", command);
  expect(flat).toContain(`link/ether ${mac}`);
  expect(flat).toMatch(/ipvlan +mode l2 vepa/);
  expect(flat).toContain("default via 10.5.0.1 dev eth0");
  await create("routed", { parent: "eth7.6", ipvlan_mode: "l3" }, "10.6.0.0/24", "fd00:6::/64");
  const routed = await outputOf(daemon, "routed", command);
  expect(routed).toMatch(/ipvlan +mode l3 bridge/);
  expect(routed).toContain("default dev eth0 proto static scope link");
  expect(routed).toContain("default dev eth0 proto static metric 1024");
  for (const name of ["flat", "routed"]) await daemon.request("DELETE", `/networks/${name}`);
  expect(network.links().sort()).not.toContain("eth7.5");
  network.run("ip", "link", "del", "eth7");
});

withIpvlan("the default route moves to the interface of an ipvlan network that is left, and back", async () => {
  const networks = [
    { Name: "bridged", IPAM: { Config: [{ Subnet: "10.7.0.0/24" }] } },
    {
      Name: "routed",
      Driver: "ipvlan",
      IPAM: { Config: [{ Subnet: "10.8.0.0/24" }] },
      Options: { ipvlan_mode: "l3s", parent: "eth7" },
    },
  ];
  daemon.network.run(
    "sh",
    "-c",
    "ip link add eth7 type veth peer name wire && ip link set eth7 up && ip link set wire up",
  );
  for (const network of networks) await daemon.request("POST", "/networks/create", network);
  const id = await daemon.run(sleeper("bridged"));
  const { Pid } = (await daemon.inspect(id)).State;
  const route = () =>
    Bun.spawnSync(["nsenter", `--net=/proc/${Pid}/ns/net`, "ip", "route", "show", "default"])
      .stdout.toString()
      .trim();
  const [bridged, routed] = ["default via 10.7.0.1 dev eth0 proto static", "default dev eth1 proto static scope link"];
  const move = async (action: string, network: string) => {
    expect((await daemon.request("POST", `/networks/${network}/${action}`, { Container: id })).status).toBe(200);
    return route();
  };
  expect(await move("connect", "routed")).toBe(bridged);
  expect(await move("disconnect", "bridged")).toBe(routed);
  expect(await move("connect", "bridged")).toBe(bridged);
  expect(await move("disconnect", "routed")).toBe(bridged);
  await daemon.request("DELETE", `/containers/${id}?force=1`);
  for (const { Name } of networks) await daemon.request("DELETE", `/networks/${Name}`);
  daemon.network.run("ip", "link", "del", "eth7");
});

withIpvlan("a MAC address of its own is no wish for a container of an ipvlan network", async () => {
  await daemon.request("POST", "/networks/create", { Name: "flat", Driver: "ipvlan" });
  const id = await daemon.create({ MacAddress: "02:42:ac:11:00:99", HostConfig: { NetworkMode: "flat" } }, "lost");
  expect((await daemon.request("POST", `/containers/${id}/start`)).json.message).toBe(
    "failed to create endpoint lost on network flat: ipvlan interfaces do not support custom mac address assignment",
  );
  await daemon.request("DELETE", `/containers/${id}`);
  await daemon.request("DELETE", "/networks/flat");
});

rooted(
  "ports of a routed network are its containers' own: none of the host is taken, before and after a crash",
  async () => {
    const option = (name: string) => `com.docker.network.bridge.${name}`;
    await daemon.request("POST", "/networks/create", {
      Name: "routed",
      EnableIPv6: true,
      IPAM: { Config: [{ Subnet: "10.9.0.0/24" }, { Subnet: "fd00:9::/64" }] },
      Options: { [option("gateway_mode_ipv4")]: "routed", [option("trusted_host_interfaces")]: "eth7" },
    });
    const Ports = [{ HostPort: "8080" }];
    const run = (HostIp: string) => {
      const HostConfig = { ...hostUsr, NetworkMode: "routed", PortBindings: { "80/tcp": [{ ...Ports[0], HostIp }] } };
      return daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig });
    };
    const ids = [await run(""), await run("0.0.0.0")];
    const check = async () => {
      const shown = await Promise.all(
        ids.map(async (id) => (await daemon.inspect(id)).NetworkSettings.Ports["80/tcp"]),
      );
      const own = { HostIp: "0.0.0.0", HostPort: "" };
      expect(shown).toEqual([[own, { HostIp: "::", HostPort: "8080" }], [own]]);
      const elements = (set: string) =>
        /elements = \{([^}]*)\}/
          .exec(
            daemon.network.run("sh", "-c", `nft list set inet $(nft list tables inet | grep -o 'lighter-.*') ${set}`),
          )?.[1]
          ?.replaceAll(/\s+/g, " ")
          .trim();
      expect(elements("routed4")).toBe("10.9.0.2 . tcp . 80, 10.9.0.3 . tcp . 80");
      expect(elements("trusted6")).toBe('"eth7" . fd00:9::2 . tcp . 80');
      expect(elements("masquerade4")).not.toContain("10.9.0.0");
      expect(elements("masquerade6")).toContain("fd00:9::");
    };
    await check();
    const [listed] = (await daemon.request("GET", "/containers/json")).json;
    expect(listed.Ports).toEqual([{ IP: "0.0.0.0", PrivatePort: 80, Type: "tcp" }]);
    await daemon.kill();
    await daemon.launch();
    await check();
    // Into a network whose gateway is the host's, and back.
    await daemon.request("POST", "/networks/create", { Name: "a", IPAM: { Config: [{ Subnet: "10.10.0.0/24" }] } });
    const move = async (action: string, network: string) => {
      expect((await daemon.request("POST", `/networks/${network}/${action}`, { Container: ids[1] })).status).toBe(200);
      return (await daemon.inspect(ids[1]!)).NetworkSettings.Ports["80/tcp"];
    };
    await move("connect", "a");
    expect(await move("disconnect", "routed")).toEqual([{ HostIp: "0.0.0.0", HostPort: "8080" }]);
    expect(await move("connect", "routed")).toEqual([{ HostIp: "0.0.0.0", HostPort: "" }]);
    for (const id of ids) await daemon.request("DELETE", `/containers/${id}?force=1`);
    for (const name of ["a", "routed"]) expect((await daemon.request("DELETE", `/networks/${name}`)).status).toBe(204);
  },
);

rooted("an isolated network's bridge has no address, nor one whose gateway is somebody else's", async () => {
  const create = async (Name: string, more: object, Options: Record<string, string>) => {
    const prefixed = Object.entries(Options).map(([key, value]) => [`com.docker.network.bridge.${key}`, value]);
    const body = { Name, ...more, Options: Object.fromEntries(prefixed) };
    const { Id } = (await daemon.request("POST", "/networks/create", body)).json;
    return daemon.network
      .run("ip", "-br", "addr", "show", `br-${Id.slice(0, 12)}`)
      .trim()
      .split(/\s+/)
      .slice(2);
  };
  const isolated = { gateway_mode_ipv4: "isolated", gateway_mode_ipv6: "isolated" };
  const IPAM = { Config: [{ Subnet: "10.11.0.0/24" }, { Subnet: "fd00:11::/64" }] };
  expect(await create("nobody", { Internal: true, EnableIPv6: true, IPAM }, isolated)).toEqual([]);
  expect(await outputOf(daemon, "nobody", "ip -4 route")).toBe(
    "10.11.0.0/24 dev eth0 proto kernel scope link src 10.11.0.1",
  );
  expect(
    await create(
      "other",
      { IPAM: { Config: [{ Subnet: "10.12.0.0/24", Gateway: "10.12.0.9" }] } },
      { inhibit_ipv4: "1" },
    ),
  ).toEqual([]);
  expect(await outputOf(daemon, "other", "ip -4 route show default")).toContain("default via 10.12.0.9");
  const { IPAM: shown } = (await daemon.request("GET", "/networks/nobody")).json;
  expect(shown.Config).toEqual(IPAM.Config);
  for (const name of ["nobody", "other"]) await daemon.request("DELETE", `/networks/${name}`);
});
