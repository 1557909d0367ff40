import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeNetworkHost } from "../../../tests/support/fake-network-host.ts";
import { LighterError } from "../../base/errors.ts";
import { EventBus } from "../events.ts";
import { Store } from "../state/store.ts";
import { Networks, type NetworkUser } from "./networks.ts";
import {
  checkNetworkSettings,
  DEFAULT_NETWORK_SETTINGS,
  type DefaultBridgeSettings,
  type NetworkSettings,
} from "./settings.ts";
import type { NetworkRecord } from "./types.ts";

const cleanup: (() => unknown)[] = [];
afterEach(() => {
  for (const undo of cleanup.splice(0).reverse()) undo();
});

/** Networks of one data root, and what is around them. */
class Bench {
  readonly host = new FakeNetworkHost();
  readonly events = new EventBus();
  readonly rules = new Map<string, unknown>();
  users: Record<string, NetworkUser[]> = {};
  /** Addresses whose connections the last daemon kept. */
  kept: readonly string[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), "lighter-networks-"));
  #store: Store | undefined;

  constructor() {
    cleanup.push(() => {
      this.#store?.[Symbol.dispose]();
      rmSync(this.#directory, { recursive: true });
    });
  }

  /** As a daemon that comes back. */
  async open(settings: Partial<NetworkSettings> = {}): Promise<Networks> {
    this.#store?.[Symbol.dispose]();
    this.#store = new Store(join(this.#directory, "lighter.db"));
    const networks = new Networks({
      table: this.#store.networks,
      events: this.events,
      settings: { ...DEFAULT_NETWORK_SETTINGS, ...settings },
      host: this.host,
      firewall: {
        tableName: "own",
        check: () => {},
        addNetwork: (network) => void this.rules.set(network.bridge, network),
        removeNetwork: (bridge) => void this.rules.delete(bridge),
        guard: () => {},
        remove: () => this.rules.clear(),
        sync: (networks) => {
          this.rules.clear();
          for (const network of networks) this.rules.set(network.bridge, network);
        },
        forgetConnectionsBut: (addresses) => {
          this.kept = addresses;
        },
      },
      installationId: "an installation",
      ownBridgeName: "own0",
      usersOf: (id) => this.users[id] ?? [],
      publishedPorts: () => [],
      containerLinks: () => [],
    });
    networks.open();
    await networks.restore();
    return networks;
  }
}

const bridge = (settings: Partial<DefaultBridgeSettings>) => ({
  defaultBridge: { ...DEFAULT_NETWORK_SETTINGS.defaultBridge!, ...settings },
});
const user = (containerId: string): NetworkUser => ({
  containerId,
  containerName: "name",
  state: { endpointId: "e", interfaceName: "eth0", hostInterface: "v", macAddress: "m" },
});

test("the predefined networks are made once and keep their ids; until one is used the host has no link", async () => {
  const bench = new Bench();
  const first = (await bench.open()).list();
  expect(first.map(({ name, driver }) => [name, driver])).toEqual([
    ["bridge", "bridge"],
    ["host", "host"],
    ["none", "null"],
  ]);
  expect((await bench.open()).list()).toEqual(first);
  expect(bench.host.links.size).toBe(0);
});

test("the default bridge is what the settings say, and keeps its id through changes of them", async () => {
  const bench = new Bench();
  const { id, pools } = (await bench.open()).find("bridge");
  expect(pools).toEqual([{ subnet: "172.17.0.0/16", gateway: "172.17.0.1" }]);
  const networks = await bench.open(
    bridge({ address: "10.9.0.7/24", fixedCidr: "10.9.0.128/25", gateway: "10.9.0.9", icc: false }),
  );
  const changed = networks.find("bridge");
  expect(changed).toMatchObject({
    id,
    pools: [
      {
        subnet: "10.9.0.0/24",
        ipRange: "10.9.0.128/25",
        gateway: "10.9.0.7",
        auxAddresses: { DefaultGatewayIPv4: "10.9.0.9" },
      },
    ],
    options: { "com.docker.network.bridge.enable_icc": "false", "com.docker.network.bridge.name": "own0" },
  });
  expect(networks.allocate(changed, {})).toMatchObject({
    ipv4: { address: "10.9.0.128", prefixLength: 24 },
    gateway4: "10.9.0.9",
  });
  expect((await bench.open({ defaultBridge: undefined })).list()).toHaveLength(2);
});

test("a bridge that somebody else has made gives the default network its addresses, and must be there", async () => {
  const bench = new Bench();
  await expect(bench.open(bridge({ foreignName: "br9" }))).rejects.toThrow(
    "bridge device with non default name br9 must be created manually",
  );
  const addresses = [{ address: "10.7.0.1", prefixLength: 24 }];
  bench.host.links.set("br9", { index: 9, name: "br9", mtu: 1500, networkId: "", addresses });
  const networks = await bench.open(bridge({ foreignName: "br9" }));
  expect(networks.find("bridge").pools).toEqual([{ subnet: "10.7.0.0/24", gateway: "10.7.0.1" }]);
  expect(networks.prepare(networks.find("bridge"))).toMatchObject({ kind: "bridge", bridgeIndex: 9, bridge: "br9" });
});

test("chosen subnets avoid the host's and one another's", async () => {
  const bench = new Bench();
  bench.host.ranges = ["172.17.3.0/24", "172.19.0.1/16"];
  const networks = await bench.open();
  expect(networks.find("bridge").pools[0]?.subnet).toBe("172.18.0.0/16");
  expect((await networks.create({ Name: "a" })).pools[0]?.subnet).toBe("172.20.0.0/16");
  const { pools } = await networks.create({ Name: "b", EnableIPv6: true });
  expect(pools[0]?.subnet).toBe("172.21.0.0/16");
  expect(pools[1]?.subnet).toMatch(/^fd.*::\/64$/);
});

test("the default network's subnet is another one if the host has come to use it, unless its bridge is there", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  expect(networks.find("bridge").pools[0]?.subnet).toBe("172.17.0.0/16");
  networks.prepare(networks.find("bridge"));
  bench.host.ranges = ["172.17.3.0/24"];
  expect((await bench.open()).find("bridge").pools[0]?.subnet).toBe("172.17.0.0/16");
  bench.host.links.clear(); // a boot
  expect((await bench.open()).find("bridge").pools[0]?.subnet).toBe("172.18.0.0/16");
});

test("the default network's subnet is one that is free when its bridge is made, and stays while somebody runs in it", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  const network = networks.find("bridge");
  bench.host.ranges = ["172.17.0.1/16"];
  networks.release(network, networks.allocate(network, {})); // somebody has looked at what would be
  networks.prepare(network);
  expect(networks.find("bridge").pools[0]?.subnet).toBe("172.18.0.0/16");
  expect(bench.host.links.get("own0")).toMatchObject({ addresses: [{ address: "172.18.0.1", prefixLength: 16 }] });
  expect(networks.allocate(network, {}).ipv4?.address).toBe("172.18.0.2");
  expect([...bench.rules.values()]).toMatchObject([{ subnets: ["172.18.0.0/16"] }]);
  bench.host.ranges = ["172.18.0.1/16"];
  bench.host.links.clear();
  bench.users[network.id] = [user("c")];
  networks.prepare(network);
  expect(networks.find("bridge").pools[0]?.subnet).toBe("172.18.0.0/16");
});

test("a host that uses all the default pools has a default network without addresses, and says so to who uses it", async () => {
  const bench = new Bench();
  bench.host.ranges = ["172.16.0.0/12", "192.168.0.0/16"];
  const networks = await bench.open();
  expect(networks.find("bridge").pools).toEqual([]);
  expect(() => networks.prepare(networks.find("bridge"))).toThrow("network bridge has no addresses");
  bench.host.ranges = [];
  expect((await bench.open()).find("bridge").pools).toHaveLength(1);
});

test("a network that is created has its bridge and rules, is told of, and all of it goes with it", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  const network = await networks.create({
    Name: "net",
    Internal: true,
    Labels: { a: "b" },
    Options: { "com.docker.network.bridge.enable_icc": "0" },
  });
  const name = `br-${network.id.slice(0, 12)}`;
  expect(bench.host.links.get(name)).toMatchObject({
    networkId: network.id,
    addresses: [{ address: "172.18.0.1", prefixLength: 16 }],
  });
  expect(bench.rules.get(name)).toEqual({
    bridge: name,
    subnets: ["172.18.0.0/16"],
    internal: true,
    icc: false,
    masquerade: true,
    hostAddresses: [],
    gatewayModes: { ipv4: "nat", ipv6: "nat" },
  });
  expect(networks.firewallNetworks()).toEqual([...bench.rules.values()] as never);
  expect(networks.find(network.id.slice(0, 5))).toEqual(network);
  await networks.remove(network);
  expect([bench.host.links.size, bench.rules.size]).toEqual([0, 0]);
  expect(() => networks.find("net")).toThrow("network net not found");
  expect(bench.events.past().map(({ action, id, attributes }) => [action, id, attributes])).toEqual([
    ["create", network.id, { name: "net", type: "bridge" }],
    ["destroy", network.id, { name: "net", type: "bridge" }],
  ]);
});

test("a network is not found any more while its links go, and what is created meanwhile waits for that", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  const body = { Name: "net", Options: { "com.docker.network.bridge.name": "br7" } };
  const network = await networks.create(body);
  const gone = Promise.withResolvers<void>();
  bench.host.removing = gone.promise;
  const removed = networks.remove(network);
  expect(() => networks.find("net")).toThrow("network net not found");
  const created = networks.create(body);
  await new Promise(setImmediate);
  expect(bench.host.links.get("br7")?.networkId).toBe(network.id);
  gone.resolve();
  await removed;
  const { id } = await created;
  expect(bench.host.links.get("br7")?.networkId).toBe(id);
  expect([...bench.rules.keys()]).toEqual(["br7"]);
});

test("a network whose bridge cannot be made is not there, and its subnet is free again", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  bench.host.failsWith = new LighterError("kernel", "no more links");
  await expect(networks.create({ Name: "net" })).rejects.toThrow("no more links");
  expect(networks.list()).toHaveLength(3);
  expect((await networks.create({ Name: "net" })).pools[0]?.subnet).toBe("172.18.0.0/16");
});

test("a network in use is not removed, and no prune takes it", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  const network = await networks.create({ Name: "net" });
  expect(networks.isDangling(network)).toBe(true);
  bench.users = { [network.id]: [user("c")] };
  await expect(networks.remove(network)).rejects.toThrow(
    `error while removing network: network net id ${network.id} has active endpoints`,
  );
  expect(networks.isDangling(network)).toBe(false);
  for (const name of ["bridge", "host", "none"]) {
    await expect(networks.remove(networks.find(name))).rejects.toThrow(
      `${name} is a pre-defined network and cannot be removed`,
    );
    expect(networks.isDangling(networks.find(name))).toBe(false);
  }
});

test("a daemon that comes back forgets connections but those of gateways and of who runs", async () => {
  const bench = new Bench();
  const network = await (await bench.open()).create({ Name: "net" });
  const inside = { address: "172.18.0.2", prefixLength: 16 };
  bench.users = { [network.id]: [{ ...user("c"), state: { ...user("c").state, ipv4: inside } }] };
  await bench.open();
  expect([...bench.kept].sort()).toEqual(["172.17.0.1", "172.18.0.1", "172.18.0.2"]);
});

test("a daemon that comes back has rules for the default bridge as long as that is there", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  expect(bench.rules.size).toBe(0);
  networks.prepare(networks.find("bridge"));
  await bench.open();
  expect([...bench.rules.keys()]).toEqual(["own0"]);
});

test("a daemon that comes back makes the bridges that are missing, and removes those of no network", async () => {
  const bench = new Bench();
  const network = await (await bench.open()).create({ Name: "net" });
  const name = `br-${network.id.slice(0, 12)}`;
  bench.host.links.clear(); // a boot
  bench.host.links.set("br-left", { index: 77, name: "br-left", mtu: 1500, networkId: "0".repeat(64), addresses: [] });
  bench.rules.clear();
  const networks = await bench.open();
  expect([...bench.host.links.keys()]).toEqual([name]);
  expect([...bench.rules.keys()]).toEqual([name]);
  bench.users = { [networks.find("bridge").id]: [user("c")] };
  await bench.open();
  expect([...bench.host.links.keys()]).toEqual([name, "own0"]);
});

test("a network whose bridge cannot be made again is there, and is made at the next use", async () => {
  const bench = new Bench();
  const network = await (await bench.open()).create({ Name: "net" });
  bench.host.links.clear();
  bench.host.failsWith = new LighterError("kernel", "no more links");
  const networks = await bench.open();
  expect(bench.host.links.size).toBe(0);
  expect(networks.prepare(networks.find("net"))).toMatchObject({ bridge: `br-${network.id.slice(0, 12)}` });
});

test("a bridge that somebody has removed is made again by the next start", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  const network = networks.find("bridge");
  const first = networks.prepare(network);
  expect(networks.prepare(network)).toBe(first);
  bench.host.links.clear();
  bench.rules.clear();
  expect(networks.prepare(network)).toEqual({ ...first, bridgeIndex: 3 } as never);
  expect(bench.rules.size).toBe(1);
});

test("addresses of a network: lowest first, as asked, given back, and claimed for those that run", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  const Config = [{ Subnet: "10.0.0.0/29" }, { Subnet: "fd00::/64" }];
  const network = await networks.create({ Name: "net", EnableIPv6: true, IPAM: { Config } });
  const first = networks.allocate(network, {});
  expect(first).toEqual({
    macAddress: "02:42:0a:00:00:02",
    ipv4: { address: "10.0.0.2", prefixLength: 29 },
    ipv6: { address: "fd00::2", prefixLength: 64 },
    gateway4: "10.0.0.1",
    gateway6: "fd00::1",
  });
  const asked = { ipv4Address: "10.0.0.5", ipv6Address: "fd00::5", macAddress: "02:00:00:00:00:01" };
  expect(networks.allocate(network, asked)).toMatchObject({
    macAddress: "02:00:00:00:00:01",
    ipv4: { address: "10.0.0.5" },
    ipv6: { address: "fd00::5" },
  });
  const failure = (wish: object) => {
    try {
      networks.allocate(network, wish);
    } catch (error) {
      return [(error as LighterError).code, (error as LighterError).message];
    }
    return undefined;
  };
  expect(failure({ ipv4Address: "10.0.0.2" })).toEqual(["forbidden", "Address already in use"]);
  expect(failure({ ipv4Address: "10.0.0.4", ipv6Address: "fd00::5" })).toEqual(["forbidden", "Address already in use"]);
  expect(failure({ ipv4Address: "10.9.0.4" })).toEqual([
    "invalid",
    "no configured subnet contains IP address 10.9.0.4",
  ]);
  expect(networks.allocate(network, { ipv4Address: "10.0.0.4" }).ipv4?.address).toBe("10.0.0.4"); // the failure kept none
  networks.release(network, first);
  expect(networks.allocate(network, {}).ipv4?.address).toBe("10.0.0.2");
  const next = await bench.open();
  next.claim(next.find("net"), first);
  expect(next.allocate(next.find("net"), {}).ipv4?.address).toBe("10.0.0.3");
  for (const _ of ["10.0.0.4", "10.0.0.5", "10.0.0.6"]) next.allocate(next.find("net"), {});
  expect(() => next.allocate(next.find("net"), {})).toThrow(
    `no available IPv4 addresses on this network's address pools: net (${network.id})`,
  );
});

test("an internal network's containers have no gateway; host and none have no addresses", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  const internal = await networks.create({ Name: "net", Internal: true });
  expect(Object.keys(networks.allocate(internal, {}))).toEqual(["macAddress", "ipv4"]);
  for (const name of ["host", "none"]) {
    expect(networks.allocate(networks.find(name), {})).toEqual({ macAddress: "" });
    expect(networks.prepare(networks.find(name))).toEqual({ kind: "none" });
  }
});

test("options of a driver that the daemon's settings name are those of networks that do not", async () => {
  const bench = new Bench();
  const mtu = "com.docker.network.driver.mtu";
  const networks = await bench.open({ defaultOptions: { bridge: { [mtu]: "1400" } } });
  expect((await networks.create({ Name: "a" })).options).toEqual({ [mtu]: "1400" });
  expect((await networks.create({ Name: "b", Options: { [mtu]: "1300" } })).options).toEqual({ [mtu]: "1300" });
  expect(networks.prepare(networks.find("b"))).toMatchObject({ mtu: 1300 });
});

test("the options say which families a network has, unless the request itself does", async () => {
  const [ipv4, ipv6] = ["com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6"];
  const bench = new Bench();
  const networks = await bench.open({ defaultOptions: { bridge: { [ipv6]: "true" } } });
  const families = async (Name: string, more: object = {}) => {
    const { enableIPv4, enableIPv6 } = await networks.create({ Name, ...more });
    return [enableIPv4, enableIPv6];
  };
  expect(await families("a")).toEqual([true, true]);
  expect(await families("b", { EnableIPv6: false })).toEqual([true, false]);
  expect(await families("c", { Options: { [ipv6]: "0" } })).toEqual([true, false]);
  expect(await families("d", { Options: { [ipv4]: "false" } })).toEqual([false, true]);
  expect(await families("e", { Options: { [ipv4]: "false" }, EnableIPv4: true })).toEqual([true, true]);
  await expect(networks.create({ Name: "f", Options: { [ipv4]: "maybe" } })).rejects.toThrow(
    `driver-opt "${ipv4}" is not a valid bool`,
  );
  await expect(networks.create({ Name: "f", Options: { [ipv4]: "f", [ipv6]: "f" } })).rejects.toThrow(
    "IPv4 or IPv6 must be enabled",
  );
});

test("a macvlan network has its parent, or one that leads nowhere", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  const Options = { parent: "eth0.7", macvlan_mode: "private" };
  const network = await networks.create({ Name: "net", Driver: "macvlan", Options });
  const above = { type: "macvlan", mode: "private" };
  expect(networks.prepare(network)).toMatchObject({ kind: "parent", parent: "eth0.7", above });
  await expect(networks.create({ Name: "other", Driver: "macvlan", Options })).rejects.toThrow(
    `network dm-${network.id.slice(0, 12)} is already using parent interface eth0.7`,
  );
  const l3 = { ...Options, ipvlan_mode: "l3", ipvlan_flag: "vepa" };
  const ipvlan = await networks.create({ Name: "ipvlan", Driver: "ipvlan", Options: l3 });
  expect(networks.prepare(ipvlan)).toMatchObject({ above: { type: "ipvlan", mode: "l3", flag: "vepa" } });
  const isolated = await networks.create({ Name: "isolated", Driver: "ipvlan" });
  expect([...bench.host.links.keys()]).toEqual(["eth0.7", `di-${isolated.id.slice(0, 12)}`]);
  // Its kernel asks nobody for a router's address; without a parent nothing is behind one.
  const gateways = (each: NetworkRecord) => {
    const { macAddress, gateway4 } = networks.allocate(each, {});
    return [macAddress, gateway4];
  };
  expect([ipvlan, isolated].map(gateways)).toEqual([
    ["", ""],
    ["", undefined],
  ]);
  for (const each of [network, ipvlan, isolated]) await networks.remove(each);
  expect(bench.host.links.size).toBe(0);
});

test("a configuration has neither links nor addresses, and stays as long as a network is made of it", async () => {
  const bench = new Bench();
  const networks = await bench.open({ defaultOptions: { bridge: { c: "d" } } });
  const Config = [{ Subnet: "10.0.0.0/24" }];
  const config = { Name: "config", ConfigOnly: true, IPAM: { Config }, Labels: { a: "b" }, Options: { e: "f" } };
  const made = { Name: "net", ConfigFrom: { Network: "config" }, Internal: true };
  const configuration = await networks.create(config);
  expect(configuration).toMatchObject({ driver: "null", pools: [], options: { c: "d", e: "f" } });
  expect(bench.host.links.size).toBe(0);
  expect(networks.isDangling(configuration)).toBe(true);
  const network = await networks.create(made);
  expect(network).toMatchObject({
    driver: "bridge",
    internal: true,
    labels: { a: "b" },
    options: configuration.options,
    pools: [{ subnet: "10.0.0.0/24", gateway: "10.0.0.1" }],
  });
  const later = await bench.open();
  await expect(later.remove(configuration)).rejects.toThrow(
    'error while removing network: configuration network "config" is in use',
  );
  await expect(later.create({ ...made, Name: "other", EnableIPv4: false })).rejects.toThrow(
    "user specified configurations are not supported if the network depends on a configuration network",
  );
  await later.remove(network);
  await later.remove(configuration);
  expect(later.list()).toHaveLength(3);
});

test("IPv6 is refused where packets are too short for it", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  const Options = { "com.docker.network.driver.mtu": "1279" };
  for (const Driver of ["bridge", "macvlan"]) {
    await expect(networks.create({ Name: "six", Driver, EnableIPv6: true, Options })).rejects.toThrow(
      expect.objectContaining({ code: "invalid", message: "invalid MTU number: 1279: IPv6 needs 1280" }),
    );
    await networks.create({ Name: `four-${Driver}`, Driver, Options });
  }
  expect(() =>
    checkNetworkSettings({ ...DEFAULT_NETWORK_SETTINGS, ...bridge({ mtu: 1279, enableIPv6: true }) }),
  ).toThrow("mtu: IPv6 needs an MTU of 1280, not 1279");
});

test("what there is not is refused by name: a driver is looked for among plugins, as Docker does, and there are none", async () => {
  const networks = await new Bench().open();
  for (const body of [
    { Name: "net", Driver: "nope" },
    { Name: "net", IPAM: { Driver: "nope" } },
  ])
    await expect(networks.create(body)).rejects.toThrow(
      expect.objectContaining({ code: "not-found", message: 'plugin "nope" not found' }),
    );
  expect((await networks.create({ Name: "net", ConfigFrom: { Network: "" } })).driver).toBe("bridge");
  for (const [option, value, message] of [
    [
      "gateway_mode_ipv4",
      "nope",
      "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: nope (unknown gateway mode nope)",
    ],
    ["gateway_mode_ipv6", "isolated", "gateway mode 'isolated' can only be used for an internal network"],
    [
      "trusted_host_interfaces",
      "eth0:a/b",
      'failed to parse com.docker.network.bridge.trusted_host_interfaces value: eth0:a/b ("a/b" is no interface\'s name)',
    ],
  ] as const) {
    const Options = { [`com.docker.network.bridge.${option}`]: value };
    await expect(networks.create({ Name: "net2", Options })).rejects.toThrow(message);
  }
});

test("a bridge whose address somebody else has, or nobody, has none; nobody's is free for containers", async () => {
  const bench = new Bench();
  const networks = await bench.open();
  const create = async (Name: string, Internal: boolean, Options: Record<string, string>) => {
    const IPAM = { Config: [{ Subnet: `10.${Name.length}.0.0/24` }, { Subnet: `fd00:${Name.length}::/64` }] };
    const prefixed = Object.entries(Options).map(([key, value]) => [`com.docker.network.bridge.${key}`, value]);
    const body = { Name, EnableIPv6: true, Internal, IPAM, Options: Object.fromEntries(prefixed) };
    const network = await networks.create(body);
    const { addresses } = bench.host.links.get(`br-${network.id.slice(0, 12)}`)!;
    const { ipv4, gateway4, ipv6, gateway6 } = networks.allocate(network, {});
    return [addresses.map(({ address }) => address), ipv4?.address, gateway4, ipv6?.address, gateway6];
  };
  expect(await create("a", false, { inhibit_ipv4: "true" })).toEqual([
    ["fd00:1::1"],
    ...["10.1.0.2", "10.1.0.1", "fd00:1::2", "fd00:1::1"],
  ]);
  expect(await create("bb", true, { inhibit_ipv4: "true", gateway_mode_ipv6: "isolated" })).toEqual([
    [],
    ...["10.2.0.1", undefined, "fd00:2::1", undefined],
  ]);
  expect(await create("ccc", true, { gateway_mode_ipv4: "isolated" })).toEqual([
    ["fd00:3::1"],
    ...["10.3.0.1", undefined, "fd00:3::2", undefined],
  ]);
  await bench.open(); // it keeps what the rows say
  expect(bench.kept).not.toContain("");
});
