/** Containers in networks, with a runtime and a host in memory: what clients see, and what is given back. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { ApiServer } from "../support/api-server.ts";
import { eventually } from "../support/eventually.ts";
import { fillDisk } from "../support/full-disk.ts";

let api: ApiServer;

beforeEach(async () => {
  api = await ApiServer.start();
});

afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

async function createNetwork(Name: string, subnet?: string, more: object = {}): Promise<string> {
  const IPAM = subnet === undefined ? {} : { IPAM: { Config: [{ Subnet: subnet }] } };
  const answer = await api.request("POST", "/networks/create", { Name, ...IPAM, ...more });
  if (answer.status !== 201) throw new Error(answer.text);
  return answer.json.Id;
}

const connect = (network: string, Container: string, EndpointConfig: object = {}) =>
  api.request("POST", `/networks/${network}/connect`, { Container, EndpointConfig });
const disconnect = (network: string, Container: string, Force = false) =>
  api.request("POST", `/networks/${network}/disconnect`, { Container, Force });
const settingsOf = async (id: string) => (await api.inspect(id)).NetworkSettings;
const networkOf = (id: string) => {
  const { request } = api.runtime.process(id);
  return "network" in request ? request.network : undefined;
};

/** What of the host is taken. */
const taken = () => ({
  ports: [...api.network.firewall.ports],
  reserved: [...api.network.hostPorts.taken],
  resolvers: [...api.network.resolvers],
});
const NOTHING = { ports: [], reserved: [], resolvers: [] };

// --- Start and end ---

test("a container on the default network has an interface there, and is seen with it", async () => {
  const id = await api.run({ ExposedPorts: { "77/tcp": {} } }, "web");
  const settings = await settingsOf(id);
  const { bridge } = settings.Networks;
  expect(Object.keys(settings.Networks)).toEqual(["bridge"]);
  expect(bridge).toMatchObject({ IPAMConfig: null, Aliases: null, DNSNames: null, Links: null, DriverOpts: null });
  for (const field of ["EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "MacAddress"])
    expect(settings[field]).toBe(bridge[field]);
  expect(settings.Ports).toEqual({ "77/tcp": null });
  expect(settings.SandboxKey).toBe(`/proc/${api.runtime.process(id).pid}/ns/net`);
  expect(networkOf(id)).toEqual({
    interfaces: [
      {
        name: "eth0",
        link: {
          type: "veth",
          hostName: expect.stringMatching(/^veth[0-9a-f]{11}$/),
          bridgeIndex: 2,
          isolated: false,
          hairpin: true,
        },
        macAddress: bridge.MacAddress,
        mtu: 1500,
        addresses: [{ address: bridge.IPAddress, prefixLength: bridge.IPPrefixLen }],
        gateways: [bridge.Gateway],
      },
    ],
  });
  expect((await api.request("GET", "/networks/bridge")).json.Containers).toEqual({
    [id]: {
      Name: "web",
      EndpointID: bridge.EndpointID,
      MacAddress: bridge.MacAddress,
      IPv4Address: `${bridge.IPAddress}/${bridge.IPPrefixLen}`,
      IPv6Address: "",
    },
  });
});

test("when it has ended nothing is left, and its network can be removed", async () => {
  const network = await createNetwork("front", "10.77.0.0/24");
  const id = await api.run({
    HostConfig: { NetworkMode: "front", PortBindings: { "80/tcp": [{ HostPort: "8080" }] } },
  });
  expect(taken()).toEqual({
    ports: ["0.0.0.0:8080/tcp -> 10.77.0.2:80"],
    reserved: ["0.0.0.0:8080/tcp"],
    resolvers: [`/proc/${api.runtime.process(id).pid}/ns/net`],
  });
  expect((await api.request("DELETE", "/networks/front")).status).toBe(403);
  api.runtime.process(id).exit(0);
  await api.request("POST", `/containers/${id}/wait`);
  expect(taken()).toEqual(NOTHING);
  // At the latest before somebody else has the address.
  const next = await api.run({ HostConfig: { NetworkMode: "front" } });
  expect(api.network.firewall.forgotten).toEqual(["10.77.0.2"]);
  expect((await settingsOf(next)).Networks.front.IPAddress).toBe("10.77.0.2");
  await api.request("DELETE", `/containers/${next}?force=1`);
  const { Networks, Ports, SandboxID } = await settingsOf(id);
  expect(Networks.front).toMatchObject({ NetworkID: network, EndpointID: "", IPAddress: "", MacAddress: "" });
  expect([Ports, SandboxID]).toEqual([{}, ""]);
  expect((await api.request("DELETE", "/networks/front")).status).toBe(204);
  const answer = await api.request("POST", `/containers/${id}/start`);
  expect([answer.status, answer.json.message]).toEqual([404, `network ${network} not found`]);
});

test("an address is given to the next when its container has ended", async () => {
  await createNetwork("front", "10.77.0.0/29");
  const HostConfig = { NetworkMode: "front" };
  for (let round = 0; round < 12; round++) {
    const id = await api.run({ HostConfig });
    expect((await settingsOf(id)).Networks.front.IPAddress).toStartWith("10.77.0.");
    await api.request("DELETE", `/containers/${id}?force=1`);
  }
});

test("a network is needed at the start only", async () => {
  const id = await api.create({ HostConfig: { NetworkMode: "later" } });
  const failed = await api.request("POST", `/containers/${id}/start`);
  expect([failed.status, failed.json.message]).toEqual([404, "network later not found"]);
  expect((await api.inspect(id)).State).toMatchObject({
    Status: "created",
    ExitCode: 128,
    Error: "network later not found",
  });
  await createNetwork("later");
  expect((await api.request("POST", `/containers/${id}/start`)).status).toBe(204);
});

test("a start that fails gives everything back, at whatever step", async () => {
  await createNetwork("front", "10.77.0.0/24");
  await createNetwork("back", "10.78.0.0/24");
  const endpoints = { EndpointsConfig: { front: {}, back: {} } };
  const HostConfig = { NetworkMode: "front", PortBindings: { "80/tcp": [{ HostPort: "8080" }] } };
  const id = await api.create({ HostConfig, NetworkingConfig: endpoints });
  const fails = async () => {
    const { status, json } = await api.request("POST", `/containers/${id}/start`);
    expect(status).toBe(500);
    expect(taken()).toEqual(NOTHING);
    expect((await api.request("GET", "/networks/front")).json.Containers).toEqual({});
    expect(api.engine.store.all()[0]!.networking.endpoints.map(({ state }) => state)).toEqual([undefined, undefined]);
    return json.message;
  };
  api.network.firewall.failure = new LighterError("kernel", "no rules");
  expect(await fails()).toBe("no rules");
  api.runtime.failure = new LighterError("kernel", "no process");
  expect(await fails()).toBe("no process");
  expect((await api.request("POST", `/containers/${id}/start`)).status).toBe(204);
  // The first addresses of all: the failures took none.
  const { Networks } = await settingsOf(id);
  expect([Networks.front.IPAddress, Networks.back.IPAddress]).toEqual(["10.77.0.2", "10.78.0.2"]);
});

test("an address that is taken and one that is none of the network's are refused, and take nothing", async () => {
  await createNetwork("front", "10.77.0.0/24");
  const body = (IPv4Address: string) => ({
    Image: "hello",
    HostConfig: { NetworkMode: "front" },
    NetworkingConfig: { EndpointsConfig: { front: { IPAMConfig: { IPv4Address } } } },
  });
  await api.run(body("10.77.0.50"));
  const second = await api.create(body("10.77.0.50"));
  const { status, json } = await api.request("POST", `/containers/${second}/start`);
  expect([status, json.message]).toEqual([403, "Address already in use"]);
  const wrong = await api.request("POST", "/containers/create", body("10.9.9.9"));
  expect([wrong.status, wrong.json.message]).toEqual([
    400,
    "invalid config for network front: invalid endpoint settings:\n" +
      "no configured subnet or ip-range contain the IP address 10.9.9.9",
  ]);
});

test("explain has a container's interfaces, and takes nothing for them", async () => {
  await createNetwork("front", "10.77.0.0/24");
  const plans: unknown[] = [];
  const { runtime } = api;
  const explain = runtime.explain.bind(runtime);
  runtime.explain = (request) => {
    plans.push(request.network);
    return explain(request);
  };
  const body = { Image: "hello", HostConfig: { NetworkMode: "front", PortBindings: { "80/tcp": [{}] } } };
  for (let round = 0; round < 2; round++)
    expect((await api.request("POST", "/lighter/explain", body)).status).toBe(200);
  expect(plans[1]).toMatchObject({
    interfaces: [{ name: "eth0", addresses: [{ address: "10.77.0.2", prefixLength: 24 }] }],
    resolverPort: expect.any(Number),
  });
  expect(taken()).toEqual(NOTHING);
});

// --- Several networks ---

test("several networks are several interfaces, one of which has the default route", async () => {
  await createNetwork("front", "10.77.0.0/24");
  await createNetwork("back", "10.78.0.0/24");
  await createNetwork("inner", "10.79.0.0/24", { Internal: true });
  const EndpointsConfig = { inner: {}, front: { Aliases: ["www"] }, back: {} };
  const id = await api.run({ HostConfig: { NetworkMode: "front" }, NetworkingConfig: { EndpointsConfig } }, "web");
  const interfaces = networkOf(id)!.interfaces.map(({ name, addresses, gateways }) => [
    name,
    addresses[0]?.address,
    gateways,
  ]);
  expect(interfaces).toEqual([
    ["eth0", "10.78.0.2", ["10.78.0.1"]],
    ["eth1", "10.77.0.2", []],
    ["eth2", "10.79.0.2", []],
  ]);
  expect(networkOf(id)!.resolverPort).toBeGreaterThan(0);
  const { Networks } = await settingsOf(id);
  expect(Networks.front.DNSNames).toEqual(["web", "www", id.slice(0, 12)]);
  expect(Networks.inner.Gateway).toBe("");
});

test("the API's older versions know one network at creation, no MAC address in it, and the short id as an alias", async () => {
  await createNetwork("front", "10.77.0.0/24");
  const EndpointsConfig = { front: { MacAddress: "02:42:ac:11:00:78" } };
  const body = { Image: "hello", HostConfig: { NetworkMode: "front" } };
  const two = { ...body, NetworkingConfig: { EndpointsConfig: { front: {}, back: {} } } };
  const refused = await api.request("POST", "/v1.43/containers/create", two);
  expect([refused.status, refused.json.message]).toEqual([
    400,
    "Container cannot be created with multiple network endpoints: back, front",
  ]);
  const create = async (version: string) => {
    const path = `/${version}/containers/create`;
    const { json } = await api.request("POST", path, {
      ...body,
      MacAddress: "02:42:ac:11:00:79",
      NetworkingConfig: { EndpointsConfig },
    });
    return json;
  };
  expect((await create("v1.44")).message).toStartWith("the container-wide MAC address must match");
  const { Id, Warnings } = await create("v1.43");
  expect(Warnings).toEqual([]);
  await api.request("POST", `/containers/${Id}/start`);
  const seen = async (version: string) =>
    (await api.request("GET", `/${version}/containers/${Id}/json`)).json.NetworkSettings.Networks.front;
  expect(await seen("v1.44")).toMatchObject({ Aliases: [Id.slice(0, 12)], MacAddress: "02:42:ac:11:00:79" });
  expect((await seen("v1.45")).Aliases).toBeNull();
});

test("a network that is named by its id is known by its name, and is there once", async () => {
  const network = await createNetwork("front", "10.77.0.0/24");
  const id = await api.create({ HostConfig: { NetworkMode: network } });
  expect(Object.keys((await settingsOf(id)).Networks)).toEqual(["front"]);
  const EndpointsConfig = { front: {}, [network]: {} };
  const twice = await api.create(
    { HostConfig: { NetworkMode: "front" }, NetworkingConfig: { EndpointsConfig } },
    "twice",
  );
  const { status, json } = await api.request("POST", `/containers/${twice}/start`);
  expect([status, json.message]).toEqual([403, "endpoint with name twice already exists in network front"]);
});

test("a MAC address that somebody wants is shown before the first start, and in Config for good", async () => {
  await createNetwork("front");
  await createNetwork("back");
  const macAddresses = async (id: string) => {
    const { Config, NetworkSettings } = await api.inspect(id);
    const { front, back } = NetworkSettings.Networks;
    return [Config.MacAddress, front.MacAddress, back.MacAddress];
  };
  const EndpointsConfig = { front: { MacAddress: "02:42:00:00:00:01" }, back: { MacAddress: "02:42:00:00:00:02" } };
  const id = await api.create({ HostConfig: { NetworkMode: "front" }, NetworkingConfig: { EndpointsConfig } });
  expect(await macAddresses(id)).toEqual(["02:42:00:00:00:01", "02:42:00:00:00:01", "02:42:00:00:00:02"]);
  await api.request("POST", `/containers/${id}/start`);
  expect(await macAddresses(id)).toEqual(["02:42:00:00:00:01", "02:42:00:00:00:01", "02:42:00:00:00:02"]);
  api.runtime.process(id).exit(0);
  await api.request("POST", `/containers/${id}/wait`);
  expect(await macAddresses(id)).toEqual(["02:42:00:00:00:01", "", ""]);
});

test("of a name that several networks know, that with a way out says where it is", async () => {
  await createNetwork("a", "10.77.0.0/24", { Internal: true });
  await createNetwork("b", "10.78.0.0/24");
  for (const network of ["a", "b"])
    await api.run({
      HostConfig: { NetworkMode: network },
      NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: ["db"] } } },
    });
  await api.run({ HostConfig: { NetworkMode: "a" }, NetworkingConfig: { EndpointsConfig: { a: {}, b: {} } } });
  expect(api.network.latestNames?.lookup("db")?.ipv4).toEqual(["10.78.0.2"]);
});

// --- Connect, disconnect ---

test("a running container comes into a network and leaves it", async () => {
  await createNetwork("front", "10.77.0.0/24");
  await createNetwork("back", "10.78.0.0/24");
  const events: string[] = [];
  api.engine.events.listen(({ type, action, attributes }) => {
    if (type === "network") events.push(`${action} ${attributes.name} ${attributes.type}`);
  });
  const id = await api.run({ HostConfig: { NetworkMode: "front" } }, "web");
  expect((await connect("back", "web", { Aliases: ["x"], IPAMConfig: { IPv4Address: "10.78.0.50" } })).status).toBe(
    200,
  );
  expect((await settingsOf(id)).Networks.back).toMatchObject({
    IPAMConfig: { IPv4Address: "10.78.0.50" },
    IPAddress: "10.78.0.50",
    Gateway: "10.78.0.1",
    Aliases: ["x"],
    DNSNames: ["web", "x", id.slice(0, 12)],
  });
  const again = await connect("back", "web");
  expect([again.status, again.json.message]).toEqual([403, "endpoint with name web already exists in network back"]);
  expect((await disconnect("back", id)).status).toBe(200);
  expect(api.runtime.interfaceChanges).toEqual(["connect eth1", "disconnect eth1"]);
  expect(Object.keys((await settingsOf(id)).Networks)).toEqual(["front"]);
  const gone = await disconnect("back", id);
  expect([gone.status, gone.json.message]).toEqual([500, `container ${id} is not connected to network back`]);
  expect(events).toEqual(["connect front bridge", "connect back bridge", "disconnect back bridge"]);
});

test("on a full disk a network is left all the same, and none is joined", async () => {
  await createNetwork("front", "10.77.0.0/24");
  await createNetwork("back", "10.78.0.0/24");
  const id = await api.run({ HostConfig: { NetworkMode: "front" } }, "web");
  expect((await connect("back", id)).status).toBe(200);
  {
    using _full = fillDisk(api.engine.store);
    expect((await disconnect("back", id)).status).toBe(200);
    expect(Object.keys((await settingsOf(id)).Networks)).toEqual(["front"]);
    const refused = await connect("back", id);
    expect([refused.status, refused.json.message]).toEqual([500, "no space left on device"]);
    expect(Object.keys((await settingsOf(id)).Networks)).toEqual(["front"]);
  }
  expect(api.runtime.interfaceChanges).toEqual(["connect eth1", "disconnect eth1"]);
  // The address was given back, twice.
  expect((await connect("back", id)).status).toBe(200);
  expect((await settingsOf(id)).Networks.back.IPAddress).toBe("10.78.0.2");
});

test("published ports follow the default route", async () => {
  await createNetwork("front", "10.77.0.0/24");
  await createNetwork("back", "10.78.0.0/24");
  const PortBindings = { "80/tcp": [{ HostPort: "8080" }] };
  const id = await api.run({ HostConfig: { NetworkMode: "front", PortBindings } }, "web");
  await connect("back", id);
  expect(taken().ports).toEqual(["0.0.0.0:8080/tcp -> 10.78.0.2:80"]);
  await disconnect("back", id);
  expect(taken().ports).toEqual(["0.0.0.0:8080/tcp -> 10.77.0.2:80"]);
  await disconnect("front", id);
  expect(taken()).toMatchObject({ ports: [], reserved: [] });
  expect((await settingsOf(id)).Ports).toEqual({});
  await connect("front", id);
  expect(taken().ports).toEqual(["0.0.0.0:8080/tcp -> 10.77.0.2:80"]);
});

test("a container whose ports cannot be published there does not come into a network, and nothing is left", async () => {
  await createNetwork("inner", "10.79.0.0/24", { Internal: true });
  const back = await createNetwork("back", "10.78.0.0/24");
  const PortBindings = { "80/tcp": [{ HostPort: "8080" }] };
  const other = await api.run({ HostConfig: { PortBindings } }, "other");
  const id = await api.run({ HostConfig: { NetworkMode: "inner", PortBindings } }, "web");
  const before = { taken: taken(), settings: await settingsOf(id) };
  const unchanged = async () => expect({ taken: taken(), settings: await settingsOf(id) }).toEqual(before);

  const { status, json } = await connect("back", id);
  expect(status).toBe(500);
  expect(json.message).toMatch(
    /^driver failed programming external connectivity on endpoint web \([0-9a-f]{64}\): Bind for 0\.0\.0\.0:8080 failed: port is already allocated$/,
  );
  await unchanged();
  expect(api.runtime.interfaceChanges).toEqual([]);

  await api.request("DELETE", `/containers/${other}?force=1`);
  before.taken = taken();
  api.network.firewall.failure = new LighterError("kernel", "no rules: EIO (input/output error)", { errno: "EIO" });
  expect((await connect("back", id)).json.message).toBe("no rules: EIO (input/output error)");
  await unchanged();
  expect(api.runtime.interfaceChanges).toEqual(["connect eth1", "disconnect eth1"]);

  expect((await connect("back", id)).status).toBe(200);
  expect(taken().ports).toEqual(["0.0.0.0:8080/tcp -> 10.78.0.2:80"]);
  expect((await api.request("GET", `/networks/${back}`)).json.Containers[id].IPv4Address).toBe("10.78.0.2/24");
});

test("a container that does not run has its networks changed for its next start", async () => {
  await createNetwork("front", "10.77.0.0/24");
  await createNetwork("back", "10.78.0.0/24");
  const id = await api.create({ HostConfig: { NetworkMode: "front" } });
  expect((await connect("back", id, { IPAMConfig: { IPv4Address: "10.78.0.9" } })).status).toBe(200);
  expect((await connect("back", id)).status).toBe(200); // as it is already
  expect((await disconnect("front", id)).status).toBe(200);
  await api.request("POST", `/containers/${id}/start`);
  const { Networks } = await settingsOf(id);
  expect(Object.entries(Networks).map(([name, each]) => [name, (each as { IPAddress: string }).IPAddress])).toEqual([
    ["back", "10.78.0.9"],
  ]);
});

test("a network is not removed while a container is being connected to it, and may be when that has failed", async () => {
  const network = await createNetwork("back");
  await api.run({}, "web");
  const held = Promise.withResolvers<void>();
  api.runtime.connecting = held.promise;
  const connected = connect("back", "web");
  await eventually(() => expect(api.runtime.interfaceChanges).toEqual(["connect eth1"]));
  const { status, json } = await api.request("DELETE", "/networks/back");
  expect([status, json.message]).toEqual([
    403,
    `error while removing network: network back id ${network} has active endpoints`,
  ]);
  held.reject(new LighterError("kernel", "connect: EIO (input/output error)", { errno: "EIO" }));
  expect((await connected).status).toBe(500);
  expect(Object.keys((await settingsOf("web")).Networks)).toEqual(["bridge"]);
  expect((await api.request("DELETE", "/networks/back")).status).toBe(204);
});

test("what cannot be connected is refused in Docker's words", async () => {
  await createNetwork("front", "10.77.0.0/24");
  const HostConfig = (NetworkMode: string) => ({ HostConfig: { NetworkMode } });
  await api.run(HostConfig("front"), "web");
  await api.run(HostConfig("host"), "on-host");
  await api.run(HostConfig("none"), "alone");
  await api.run(HostConfig("container:web"), "joined");
  const shared =
    "container sharing network namespace with another container or host cannot be connected to any other network";
  const host = "container cannot be disconnected from host network or connected to host network";
  const none = "container cannot be connected to multiple networks with one of the networks in private (none) mode";
  const answers: [Promise<{ status: number; json: { message: string } }>, number, string][] = [
    [connect("front", "nonesuch"), 404, "No such container: nonesuch"],
    [connect("nonesuch", "web"), 404, "network nonesuch not found"],
    [connect("host", "web"), 400, host],
    [connect("none", "web"), 400, none],
    [connect("front", "on-host"), 400, shared],
    [connect("front", "alone"), 400, none],
    [connect("front", "joined"), 400, shared],
    [connect("front", ""), 400, 'invalid name or ID supplied: ""'],
    [connect("front", "web", { Aliases: 5 }), 400, "EndpointConfig.Aliases: must be a list of strings, is 5"],
    [disconnect("front", "nonesuch"), 404, "No such container: nonesuch"],
    [disconnect("front", "nonesuch", true), 404, "endpoint nonesuch not found"],
    [disconnect("nonesuch", "web"), 404, "network nonesuch not found"],
    [disconnect("host", "on-host"), 400, host],
  ];
  for (const [answer, status, message] of answers) {
    const { status: got, json } = await answer;
    expect([got, json.message]).toEqual([status, message]);
  }
  expect((await disconnect("none", "alone")).status).toBe(200);
  expect((await connect("front", "alone")).status).toBe(200);
});

// --- Ports ---

test("ports are listed as they are published, and filtered by", async () => {
  const PortBindings = {
    "80/tcp": [{ HostPort: "8080" }, { HostIp: "127.0.0.1", HostPort: "" }],
    "53/udp": [{ HostPort: "5353" }],
  };
  const id = await api.run({ ExposedPorts: { "80/tcp": {}, "77/tcp": {} }, HostConfig: { PortBindings } });
  await api.create({ HostConfig: { PortBindings } }); // does not run
  expect((await settingsOf(id)).Ports).toEqual({
    "53/udp": [{ HostIp: "0.0.0.0", HostPort: "5353" }],
    "77/tcp": null,
    "80/tcp": [
      { HostIp: "0.0.0.0", HostPort: "8080" },
      { HostIp: "127.0.0.1", HostPort: "32768" },
    ],
  });
  expect((await api.request("GET", "/containers/json")).json[0].Ports).toEqual([
    { IP: "0.0.0.0", PrivatePort: 53, PublicPort: 5353, Type: "udp" },
    { PrivatePort: 77, Type: "tcp" },
    { IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
    { IP: "127.0.0.1", PrivatePort: 80, PublicPort: 32768, Type: "tcp" },
  ]);
  const count = async (filters: object) =>
    (await api.request("GET", `/containers/json?all=1&filters=${encodeURIComponent(JSON.stringify(filters))}`)).json
      .length;
  expect(await count({ publish: ["8080"] })).toBe(1);
  expect(await count({ publish: ["80", "5353"] })).toBe(0);
  expect(await count({ publish: ["5000-6000/udp"] })).toBe(1);
  expect(await count({ expose: ["77"] })).toBe(1);
  expect(await count({ expose: ["8080"] })).toBe(0);
  expect(await count({ network: ["bridge"] })).toBe(2);
  expect(await count({ network: ["host"] })).toBe(0);
});

test("all exposed ports are published to free ones, and a port is published once", async () => {
  const Ports = async (id: string) => (await settingsOf(id)).Ports;
  const first = await api.run({ ExposedPorts: { "80/tcp": {}, "81/tcp": {} }, HostConfig: { PublishAllPorts: true } });
  expect(await Ports(first)).toEqual({
    "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "32768" }],
    "81/tcp": [{ HostIp: "0.0.0.0", HostPort: "32769" }],
  });
  const range = (HostPort: string) => ({ HostConfig: { PortBindings: { "80/tcp": [{ HostPort }] } } });
  expect((await Ports(await api.run(range("32768-32771"))))["80/tcp"][0].HostPort).toBe("32770");
  const second = await api.create(range("32768"));
  expect((await api.request("POST", `/containers/${second}/start`)).json.message).toEndWith(
    "port is already allocated",
  );
});

// --- Links of the default network ---

test("a link is known by id, shown by name, and goes", async () => {
  const db = await api.run({ ExposedPorts: { "5432/tcp": {} }, Env: ["A=b"] }, "db");
  const web = await api.run({ HostConfig: { Links: ["db:data"] } }, "web");
  const { request } = api.runtime.process(web);
  const address = (await settingsOf(db)).IPAddress;
  expect((request.config.process?.env ?? []).filter((variable) => variable.startsWith("DATA_"))).toEqual([
    `DATA_PORT=tcp://${address}:5432`,
    `DATA_PORT_5432_TCP=tcp://${address}:5432`,
    `DATA_PORT_5432_TCP_ADDR=${address}`,
    "DATA_PORT_5432_TCP_PORT=5432",
    "DATA_PORT_5432_TCP_PROTO=tcp",
    "DATA_NAME=/web/data",
    "DATA_ENV_A=b",
  ]);
  await api.request("POST", "/containers/db/rename?name=store");
  expect((await api.inspect(web)).HostConfig.Links).toEqual(["/store:/web/data"]);
  const { json } = await api.request("GET", "/containers/json");
  expect(json.map(({ Names }: { Names: string[] }) => Names)).toEqual([["/web"], ["/store", "/web/data"]]);
  await api.request("POST", "/containers/store/kill");
  const { status, json: answer } = await api.request("POST", "/containers/web/restart");
  expect([status, answer.message]).toEqual([
    500,
    "Cannot restart container web: Cannot link to a non running container: /store AS /web/data",
  ]);
  expect((await api.request("DELETE", "/containers/web/data?link=1")).status).toBe(204);
  expect((await api.request("DELETE", "/containers/web/data?link=1")).status).toBe(404);
  expect((await api.inspect(web)).HostConfig.Links).toBeNull();
  const missing = await api.request("POST", "/containers/create", {
    Image: "hello",
    HostConfig: { Links: ["gone:x"] },
  });
  expect([missing.status, missing.json.message]).toEqual([
    400,
    "could not get container for gone: No such container: gone",
  ]);
});

test("a namespace of a container that is not there is refused as a bad request: for 404 clients pull the image", async () => {
  for (const mode of ["PidMode", "IpcMode"]) {
    const body = { Image: "hello", HostConfig: { [mode]: "container:gone" } };
    const { status, json } = await api.request("POST", "/containers/create", body);
    expect([mode, status, json.message]).toEqual([mode, 400, "No such container: gone"]);
  }
});

// --- A daemon that comes back ---

test("the next daemon knows what running containers have", async () => {
  await createNetwork("front", "10.77.0.0/24");
  const PortBindings = { "80/tcp": [{ HostPort: "8080" }] };
  const id = await api.run({ HostConfig: { NetworkMode: "front", PortBindings } }, "web");
  const before = await settingsOf(id);
  api.network.hostPorts.taken.clear(); // it held them
  await api.restart();
  expect(await settingsOf(id)).toEqual(before);
  expect(taken().reserved).toEqual(["0.0.0.0:8080/tcp"]);
  const other = await api.run({ HostConfig: { NetworkMode: "front" } });
  expect((await settingsOf(other)).Networks.front.IPAddress).toBe("10.77.0.3");
  for (const each of [id, other]) await api.request("POST", `/containers/${each}/kill`);
  expect(taken()).toEqual(NOTHING);
});

test("what ended or was lost while there was no daemon gives everything back", async () => {
  await createNetwork("front", "10.77.0.0/24");
  const HostConfig = { NetworkMode: "front" };
  const [ended, lost] = [await api.run({ HostConfig }), await api.run({ HostConfig })];
  await api.restart(() => {
    api.runtime.process(ended).exit(0);
    api.runtime.process(lost).lose();
  });
  for (const id of [ended, lost]) expect((await settingsOf(id)).Networks.front.IPAddress).toBe("");
  expect((await api.request("GET", "/networks/front")).json.Containers).toEqual({});
  expect((await settingsOf(await api.run({ HostConfig }))).Networks.front.IPAddress).toBe("10.77.0.2");
});
