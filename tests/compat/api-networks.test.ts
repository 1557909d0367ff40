/** Networks through our API and through Docker's own, side by side, each in a network namespace of its own. */
import { afterAll, beforeAll, expect } from "bun:test";
import type { Answer, ApiClient } from "../support/api-client.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { testIf } from "../support/test-if.ts";
import { type BesideDocker, startBesideDocker } from "./beside-docker.ts";
import { lighterCommand, type PrivateDocker, runProgram, whyNoDocker } from "./cli-support.ts";

const missing = whyNoDocker();
const test = testIf(missing === undefined, missing ?? "");

let docker: PrivateDocker;
let theirs: ApiClient;
let ours: TestDaemon;
let stop: BesideDocker["stop"] = async () => {};

beforeAll(async () => {
  if (missing !== undefined) return;
  const flags = ["--iptables=false"]; // a second for each network, otherwise
  ({ docker, theirs, ours, stop } = await startBesideDocker("networks", { networks: true, flags }));
}, 120_000);

afterAll(() => stop());

/** Asked of both daemons in Docker's own version of the API. */
const VERSION = "/v1.45";

/** What differs between two daemons by nature. Of the default pools Docker takes the next, we the lowest free one. */
function normalized(text: string): string {
  return text
    .replace(/\b[0-9a-f]{64}\b/g, "ID")
    .replace(/\b[0-9a-f]{12}\b/g, "SHORT")
    .replace(/"20\d\d-[^"]*Z"/g, '"TIME"')
    .replace(/\b(172\.(1[7-9]|2\d|3[01])|192\.168)\.\d+\.[01](\/(16|20))?\b/g, "CHOSEN")
    .replace(/\b(docker0|lighter-[0-9a-f]{7})\b/g, "BRIDGE");
}

const show = ({ status, text }: Answer) => normalized(`${status} ${text}`);

/** Sends a request to both, and expects the same answer. */
async function same(method: string, path: string, body?: unknown): Promise<Answer> {
  const [their, our] = [
    await theirs.request(method, VERSION + path, body),
    await ours.request(method, VERSION + path, body),
  ];
  expect(show(our), `${method} ${path} ${JSON.stringify(body)}`).toBe(show(their));
  return our;
}

const filtered = (path: string, filters: object) => `${path}?filters=${encodeURIComponent(JSON.stringify(filters))}`;

/** A list, in an order of its own in each daemon. */
async function sameList(filters: object): Promise<string[]> {
  const lists = await Promise.all(
    [theirs, ours].map(async (api) => {
      const { status, text, json } = await api.request("GET", VERSION + filtered("/networks", filters));
      if (status !== 200) return [normalized(`${status} ${text}`)];
      return json.map((network: object) => normalized(JSON.stringify(network))).sort();
    }),
  );
  expect(lists[1], JSON.stringify(filters)).toEqual(lists[0]);
  return lists[1];
}

const withPools = (...Config: object[]) => ({ Name: "net", IPAM: { Config } });
const withOptions = (Options: Record<string, string>) => ({ Name: "net", Options });
const bridge = (name: string) => `com.docker.network.bridge.${name}`;

test("networks/create, inspect and remove answer as Docker's", async () => {
  for (const body of [
    { Name: "net" },
    { Name: "a network" },
    {},
    { Name: "" },
    ...["bridge", "host", "none", "default"].map((Name) => ({ Name })),
    { Name: "net", Labels: { z: "1", a: "2" }, Internal: true, Attachable: true, Options: { foo: "bar", bar: "" } },
    { Name: "net", Driver: "bridge", CheckDuplicate: true, EnableIPv6: false, IPAM: null, Options: null, Labels: null },
    { Name: "net", IPAM: { Driver: "default", Options: { b: "1", a: "2" } } },
    ...["host", "null"].map((Driver) => ({ Name: "net", Driver })),
    { Name: "net", Scope: "swarm" },
    { Name: "net", Ingress: true },
    withPools({ Subnet: "10.1.0.0/24" }),
    withPools({
      Subnet: "10.1.0.0/24",
      IPRange: "10.1.0.128/25",
      Gateway: "10.1.0.9",
      AuxiliaryAddresses: { b: "10.1.0.5", a: "10.1.0.6" },
    }),
    withPools({ Subnet: "10.1.0.0" }),
    withPools({ Subnet: "10.1.0.7/24" }),
    withPools({ Gateway: "10.1.0.1" }),
    withPools(
      {
        Subnet: "10.1.0.0/24",
        IPRange: "10.1.0.0/16",
        Gateway: "10.2.0.1",
        AuxiliaryAddresses: { b: "zz" },
      },
      { Subnet: "zz" },
    ),
    withPools({ Subnet: "10.1.0.0/24", IPRange: "10.2.0.0/25" }),
    withPools({ Subnet: "10.1.0.0/24", IPRange: "10.1.0.1/25" }),
    withPools({ Subnet: "10.1.0.0/24", IPRange: "zz" }),
    withPools({ Subnet: "10.1.0.0/24", IPRange: "fd00::/80", Gateway: "fd00::1" }),
    withPools({ Subnet: "10.1.0.0/24" }, { Subnet: "10.2.0.0/24" }),
    withPools({ Subnet: "10.1.0.0/24" }, { Subnet: "10.1.0.128/25" }),
    withPools({ Subnet: "172.17.9.0/24" }),
    withPools({ Subnet: "10.1.0.0/31" }),
    withPools({ Subnet: "10.1.0.0/30" }),
    withPools({ Subnet: "fd00:1::/64" }),
    withPools({ Subnet: "10.3.0.0/24", AuxiliaryAddresses: { a: "10.3.0.0" } }),
    withPools({ Subnet: "10.4.0.0/24", Gateway: "10.4.0.0" }),
    withPools({ Subnet: "10.5.0.0/24", Gateway: "10.5.0.5", AuxiliaryAddresses: { a: "10.5.0.5" } }),
    { ...withPools({ Subnet: "fd00:1::/64" }), EnableIPv6: true },
    { ...withPools({ Subnet: "fd00:1::/64", Gateway: "fd00:1::7" }, { Subnet: "10.7.0.0/24" }), EnableIPv6: true },
    withOptions({
      [bridge("enable_icc")]: "false",
      [bridge("enable_ip_masquerade")]: "0",
      [bridge("host_binding_ipv4")]: "127.0.0.1",
    }),
    withOptions({ [bridge("name")]: "own-br", "com.docker.network.driver.mtu": "1400" }),
    withOptions({ [bridge("enable_icc")]: "zz" }),
    withOptions({ [bridge("host_binding_ipv4")]: "zz" }),
    withOptions({ [bridge("name")]: "lo" }),
    withOptions({ "com.docker.network.host_ipv4": "zz" }),
    withOptions({ "com.docker.network.driver.mtu": "zz" }),
    withOptions({ "com.docker.network.driver.mtu": "-5" }),
    withOptions({ "com.docker.network.container_iface_prefix": "lan" }),
  ]) {
    await same("POST", "/networks/create", body);
    const path = `/networks/${encodeURIComponent(("Name" in body && body.Name) || "net")}`;
    await same("GET", path);
    await same("DELETE", path);
  }
  for (const path of [
    "bridge",
    "host",
    "none",
    "zz",
    "bridge?scope=local",
    "bridge?scope=swarm",
    "bridge?verbose=1",
    "bridge?verbose=zz",
  ])
    await same("GET", `/networks/${path}`);
});

test("two networks have neither one name nor one subnet nor one bridge", async () => {
  await same("POST", "/networks/create", {
    ...withPools({ Subnet: "10.1.0.0/24" }),
    Options: { [bridge("name")]: "own-br" },
  });
  await same("POST", "/networks/create", { Name: "net" });
  await same("POST", "/networks/create", { ...withPools({ Subnet: "10.1.0.0/16" }), Name: "other" });
  const sameBridge = { ...withOptions({ [bridge("name")]: "own-br" }), Name: "other" };
  const answers = await Promise.all([theirs, ours].map((api) => api.request("POST", "/networks/create", sameBridge)));
  for (const { status, text } of answers) {
    expect(status).toBe(403);
    expect(text).toContain("networks have same bridge name");
  }
  await same("DELETE", "/networks/net");
});

test("configurations: what they may have, which networks are made of them, and that nobody is in one", async () => {
  const configuration = {
    ...withOptions({ [bridge("enable_icc")]: "false" }),
    ...withPools({ Subnet: "10.1.0.0/24", IPRange: "10.1.0.128/25" }),
    Name: "config",
    Driver: "macvlan",
    ConfigOnly: true,
    Labels: { a: "b" },
  };
  const from = (more: object = {}) => ({ Name: "made", ConfigFrom: { Network: "config" }, ...more });
  await same("POST", "/networks/create", from());
  await same("POST", "/networks/create", configuration);
  await same("POST", "/networks/create", configuration);
  await same("GET", "/networks/config");
  for (const more of [
    { Internal: true },
    { Attachable: true },
    { Ingress: true },
    { Scope: "local" },
    { Scope: "swarm" },
    { ConfigFrom: { Network: "config" } },
    withPools({ Subnet: "10.1.0.1/24" }),
  ])
    await same("POST", "/networks/create", { Name: "config2", ConfigOnly: true, ...more });
  // Neither its subnet nor its driver is anybody's yet.
  await same("POST", "/networks/create", { ...configuration, Name: "config2", Driver: "zz" });
  for (const more of [
    { ConfigFrom: { Network: "bridge" } },
    { EnableIPv6: true },
    { Labels: { a: "b" } },
    { Options: { a: "b" } },
    { Driver: "null" },
    withPools({ Subnet: "10.9.0.0/24" }),
    { IPAM: { Options: { a: "b" } } },
  ])
    await same("POST", "/networks/create", { ...more, ...from(more) });
  await same("POST", "/networks/create", from({ Internal: true, Attachable: true, IPAM: { Driver: "default" } }));
  await same("GET", "/networks/made");
  await same("POST", "/networks/create", { Name: "made2", ConfigFrom: { Network: "config2" } }); // the same subnet
  for (const filters of [{ driver: ["null"] }, { type: ["custom"] }, { dangling: ["true"] }]) await sameList(filters);
  await same("DELETE", "/networks/config");
  for (const api of [theirs, ours]) api.image = api === theirs ? "busybox" : "host-usr";
  for (const api of [theirs, ours]) await api.create({ HostConfig: { NetworkMode: "config" } }, "lost");
  await same("POST", "/containers/lost/start");
  for (const api of [theirs, ours]) await api.request("DELETE", "/containers/lost");
  await same("POST", filtered("/networks/prune", {}));
  for (const name of ["config", "config2", "made"]) await same("DELETE", `/networks/${name}`);
});

test("networks are found by name, id and the beginning of an id, and listed by every filter", async () => {
  await same("POST", "/networks/create", { Name: "alpha", Labels: { kind: "test", n: "1" } });
  await same("POST", "/networks/create", { Name: "alphabet", Labels: { kind: "test", n: "2" }, Internal: true });
  for (const api of [theirs, ours]) {
    const { json } = await api.request("GET", "/networks/alpha");
    for (const ref of [json.Id, json.Id.slice(0, 12)])
      expect((await api.request("GET", `/networks/${ref}`)).json).toEqual(json);
    const byId = await api.request("GET", filtered("/networks", { id: [json.Id.slice(0, 20)] }));
    expect(byId.json).toEqual([json]);
  }
  for (const filters of [
    {},
    { name: ["alpha"] },
    { name: ["^alpha$"] },
    { driver: ["bridge"] },
    { driver: ["null", "host"] },
    { scope: ["local"] },
    { scope: ["swarm"] },
    { type: ["custom"] },
    { type: ["builtin"] },
    { label: ["kind"] },
    { label: ["kind=test", "n=2"] },
    { label: ["kind=other"] },
    { dangling: ["true"] },
    { dangling: ["false"] },
    { dangling: ["0"], name: ["alpha"] },
    { dangling: ["zz"] },
    { dangling: ["true", "false"] },
    { zz: ["a"] },
  ])
    await sameList(filters);
});

test("a prune takes the networks that its filters name", async () => {
  for (const filters of [
    { zz: ["a"] },
    { until: ["zz"] },
    { until: ["24h"] },
    { label: ["n=3"] },
    { "label!": ["kind"] },
    { label: ["n=2"] },
  ])
    await same("POST", filtered("/networks/prune", filters));
  await sameList({ type: ["custom"] });
  await same("POST", "/networks/prune");
  await same("POST", "/networks/prune");
});

test("what happens to networks is told as Docker tells it", async () => {
  const since = Math.floor(Date.now() / 1000);
  for (const api of [theirs, ours]) {
    await api.request("POST", "/networks/create", { Name: "told", Labels: { a: "b" } });
    await api.request("DELETE", "/networks/told");
    await api.request("POST", "/networks/create", { Name: "pruned" });
    await api.request("POST", "/networks/prune");
  }
  const [told, toldByUs] = await Promise.all(
    [theirs, ours].map(async (api) => {
      const path = `${filtered("/events", { type: ["network"] })}&since=${since}&until=${Math.ceil(Date.now() / 1000)}`;
      const { text } = await api.request("GET", path);
      const events = text.split("\n").filter((line) => line !== "");
      return events.map((line) => {
        const { Type, Action, Actor, scope } = JSON.parse(line);
        return normalized(JSON.stringify({ Type, Action, Actor, scope }));
      });
    }),
  );
  const own = (events: string[]) => events.filter((event) => /told|pruned|"prune"/.test(event)).slice(-5);
  expect(own(toldByUs!)).toEqual(own(told!));
  expect(own(told!)).toHaveLength(5);
});

test("the command lines show our networks as they show Docker's", async () => {
  const clients = [["docker"], lighterCommand];
  for (const client of clients)
    for (const args of [
      ["network", "create", "--subnet", "10.1.0.0/24", "--label", "a=b", "--internal", "-o", "x=y", "cli"],
      ["network", "create", "cli"],
      ["network", "create", "--subnet", "10.1.0.1/24", "cli2"],
      ["network", "ls"],
      ["network", "ls", "-q", "--filter", "name=cli"],
      [
        "network",
        "ls",
        "--filter",
        "type=custom",
        "--format",
        "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}} {{.Internal}}",
      ],
      ["network", "inspect", "cli", "bridge", "none"],
      ["network", "inspect", "zz"],
      ["network", "rm", "bridge"],
      ["network", "rm", "zz"],
      ["network", "rm", "-f", "zz"],
      ["network", "rm", "cli"],
      ["network", "create", "--config-only", "--subnet", "10.1.0.0/24", "--label", "a=b", "config"],
      ["network", "create", "--config-from", "config", "--label", "x=y", "cli"],
      ["network", "create", "--config-from", "config", "cli"],
      ["network", "ls", "--filter", "type=custom", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}"],
      ["network", "inspect", "config", "cli"],
      ["network", "rm", "config", "cli"],
      ["network", "rm", "config"],
      ["network", "prune", "-f"],
      ["network", "create", "cli3"],
      ["network", "prune", "-f", "--filter", "until=1h"],
      ["network", "prune", "-f"],
    ]) {
      const [their, our] = await Promise.all(
        [docker.host, `unix://${ours.socketPath}`].map(async (DOCKER_HOST) => {
          const { stdout, stderr, code } = await runProgram([...client, ...args], { env: { DOCKER_HOST } });
          return { stdout: normalized(stdout), stderr: normalized(stderr), code };
        }),
      );
      expect(our, `${client.at(-1)} ${args.join(" ")}`).toEqual(their!);
    }
}, 30_000);

test("both daemons' bridges are gone with their networks", () => {
  expect(docker.network.links()).toEqual(["docker0"]);
  expect(ours.network.links()).toEqual([]);
});

test("the daemon's settings are seen in its networks as with Docker", async () => {
  const flags = [
    ...["--iptables=false", "--ipv6", "--bip=10.9.0.1/24", "--fixed-cidr=10.9.0.128/25", "--default-gateway=10.9.0.9"],
    ...[
      "--fixed-cidr-v6=fd00:9::/64",
      "--mtu=1400",
      "--ip=127.0.0.1",
      "--default-address-pool=base=10.50.0.0/16,size=24",
    ],
    ...["--default-network-opt=bridge=com.docker.network.driver.mtu=1300"],
  ];
  const others = await startBesideDocker("network-settings", { networks: true, flags });
  try {
    const ask = async (api: ApiClient) => {
      const bridge = (await api.request("GET", `${VERSION}/networks/bridge`)).text;
      await api.request("POST", "/networks/create", { Name: "a" });
      await api.request("POST", "/networks/create", {
        Name: "b",
        Options: { "com.docker.network.driver.mtu": "1200" },
      });
      const made = await Promise.all(
        ["a", "b"].map(async (name) => (await api.request("GET", `${VERSION}/networks/${name}`)).text),
      );
      const { DefaultAddressPools } = (await api.request("GET", `${VERSION}/info`)).json;
      return { networks: [bridge, ...made].map(normalized), DefaultAddressPools };
    };
    const [their, our] = [await ask(others.theirs), await ask(others.ours)];
    expect(our).toEqual(their);
    expect(our.networks[1]).toContain('"Subnet":"10.50.');
  } finally {
    await others.stop();
  }
}, 60_000);
