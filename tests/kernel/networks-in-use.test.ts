import { afterAll, beforeAll, expect } from "bun:test";
import { readFileSync } from "node:fs";
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

rooted("a daemon without a default network has containers without one", async () => {
  await using without = await TestDaemon.start({ flags: ["--bridge=none"] });
  expect((await without.request("GET", "/networks/bridge")).status).toBe(404);
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

const script = "ip link add x0 type dummy && ip link add link x0 name m0 type macvlan";
const hasMacvlan = isRoot && Bun.spawnSync(["unshare", "--net", "sh", "-c", script]).success;
const withMacvlan = testIf(hasMacvlan, isRoot ? "this kernel has no macvlan" : "needs root");

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
