/** Containers in networks, asked of our daemon and of dockerd, each in a network namespace of its own, with the same requests. */
import { afterAll, beforeAll, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ApiClient } from "../support/api-client.ts";
import { testIf } from "../support/test-if.ts";
import { type BesideDocker, startBesideDocker } from "./beside-docker.ts";
import { whyNoDocker } from "./cli-support.ts";

const why = whyNoDocker();
const both = testIf(why === undefined, why ?? "");

let beside: BesideDocker;

beforeAll(async () => {
  if (why !== undefined) return;
  beside = await startBesideDocker("endpoints", { networks: true });
  const { docker, ours, theirs } = beside;
  const image = readFileSync(join(docker.folder, "saved.tar"));
  await ours.request("POST", "/images/load", image, { "Content-Type": "application/x-tar" });
  for (const api of [ours, theirs]) {
    api.image = "busybox";
    for (const [Name, Subnet, more] of NETWORKS) {
      const IPAM = { Config: [{ Subnet }, ...(more.EnableIPv6 ? [{ Subnet: "fd00:78::/64" }] : [])] };
      const answer = await api.request("POST", "/networks/create", { Name, IPAM, ...more });
      if (answer.status !== 201) throw new Error(answer.text);
    }
    await api.request("POST", "/networks/create", { Name: "auto" });
  }
}, 120_000);

const NETWORKS: readonly [name: string, subnet: string, more: { EnableIPv6?: boolean; Internal?: boolean }][] = [
  ["front", "10.77.0.0/24", {}],
  ["back", "10.78.0.0/24", {}],
  ["six", "10.79.0.0/24", { EnableIPv6: true }],
  ["inner", "10.80.0.0/24", { Internal: true }],
];

afterAll(async () => {
  await beside?.stop();
}, 60_000);

/** One of the two, in a test. */
class Side {
  readonly #ids: string[] = [];

  constructor(readonly api: ApiClient) {}

  async create(name: string, body: { [key: string]: unknown; HostConfig?: object } = {}): Promise<string> {
    const id = await this.api.create({ Cmd: ["sleep", "1000"], StopTimeout: 0, ...body }, name);
    this.#ids.push(id);
    return id;
  }

  async run(name: string, body: { [key: string]: unknown; HostConfig?: object } = {}): Promise<string> {
    const id = await this.create(name, body);
    const { status, text } = await this.api.request("POST", `/containers/${id}/start`);
    if (status !== 204) throw new Error(`start ${name}: ${text}`);
    return id;
  }

  /** What a command in it prints. */
  async exec(container: string, command: string): Promise<string> {
    const { json } = await this.api.request("POST", `/containers/${container}/exec`, {
      Cmd: ["/bin/sh", "-c", command],
      AttachStdout: true,
      AttachStderr: true,
      Tty: true,
    });
    const stream = await this.api.hijack(`/exec/${json.Id}/start`, { body: '{"Tty":true}' });
    return (await stream.untilEnd()).replaceAll("\r\n", "\n");
  }

  /** Status and message of an answer. */
  async said(method: string, path: string, body?: object): Promise<string> {
    const { status, json } = await this.api.request(method, path, body);
    if (status === 201) this.#ids.push(json.Id);
    return `${status} ${json?.message ?? (json?.Warnings ?? []).join("; ")}`;
  }

  connect(network: string, Container: string, EndpointConfig?: object): Promise<string> {
    return this.said("POST", `/networks/${network}/connect`, {
      Container,
      ...(EndpointConfig ? { EndpointConfig } : {}),
    });
  }

  disconnect(network: string, Container: string): Promise<string> {
    return this.said("POST", `/networks/${network}/disconnect`, { Container });
  }

  async remove(): Promise<void> {
    for (const id of this.#ids.splice(0)) await this.api.request("DELETE", `/containers/${id}?force=1&v=1`);
  }

  /** Ids, which are never the same, by what they are of. */
  async plain(value: unknown): Promise<unknown> {
    let text = JSON.stringify(value) ?? "";
    for (const [index, id] of this.#ids.entries())
      text = text.replaceAll(id, `<container ${index}>`).replaceAll(id.slice(0, 12), `<short ${index}>`);
    for (const { Id, Name } of (await this.api.request("GET", "/networks")).json)
      text = text.replaceAll(Id, `<${Name}>`);
    // Docker counts interfaces, we use numbers again; the priority of gateways came with a later API than this Docker's.
    const same = text
      .replaceAll(/\b[0-9a-f]{64}\b/g, "<id>")
      .replaceAll(/\beth\d/g, "ethN")
      .replaceAll(/"GwPriority":0,/g, "");
    return JSON.parse(same);
  }

  async settings(container: string): Promise<unknown> {
    const { SandboxKey, ...settings } = (await this.api.inspect(container)).NetworkSettings;
    return this.plain({ ...settings, hasKey: SandboxKey !== "" });
  }
}

function same(name: string, story: (side: Side) => Promise<unknown>): void {
  both(
    name,
    async () => {
      const results: unknown[] = [];
      for (const api of [beside.ours, beside.theirs]) {
        const side = new Side(api);
        try {
          results.push(await side.plain(await story(side)));
        } finally {
          await side.remove();
        }
      }
      expect(results[0]).toEqual(results[1]);
    },
    60_000,
  );
}

/** Without comments and empty lines, which name the daemon. */
const settingsIn = (text: string) => text.split("\n").filter((line) => /^[^#]/.test(line));

/** Docker publishes at "::" what a container without IPv6 has, by a process of its own. */
function withoutProxied(ports: Record<string, { HostIp: string }[] | null>): object {
  return Object.fromEntries(
    Object.entries(ports).map(([port, bindings]) => [port, bindings?.filter(({ HostIp }) => HostIp !== "::") ?? null]),
  );
}

same("the default network: inspect, list, files", async (side) => {
  await side.run("web", { ExposedPorts: { "77/tcp": {} }, Hostname: "www", Domainname: "example.org" });
  const [listed] = (await side.api.request("GET", "/containers/json")).json;
  return {
    settings: await side.settings("web"),
    listed: [listed.Ports, listed.NetworkSettings, listed.HostConfig],
    hosts: await side.exec("web", "cat /etc/hosts"),
    resolvConf: settingsIn(await side.exec("web", "cat /etc/resolv.conf")),
    routes: await side.exec("web", "ip route"),
    address: (await side.exec("web", "ip -o addr show eth0")).split("\n").map((line) => /inet\S* \S+/.exec(line)?.[0]),
    network: await side.plain((await side.api.request("GET", "/networks/bridge")).json.Containers),
  };
});

same("several networks: interfaces, names, the default route", async (side) => {
  const EndpointsConfig = {
    back: { IPAMConfig: { IPv4Address: "10.78.0.50" }, Aliases: ["db", "db"], MacAddress: "02:42:00:00:00:09" },
    front: { Aliases: ["www"], DriverOpts: { a: "b" } },
  };
  await side.run("web", {
    Hostname: "host",
    HostConfig: { NetworkMode: "front" },
    NetworkingConfig: { EndpointsConfig },
  });
  return {
    settings: await side.settings("web"),
    routes: await side.exec("web", "ip route"),
    resolvConf: settingsIn(await side.exec("web", "cat /etc/resolv.conf")),
  };
});

for (const version of ["v1.43", "v1.44", "v1.45"])
  same(`what API ${version} shows of a container's networks`, async (side) => {
    await side.run("web", { HostConfig: { NetworkMode: "front" } });
    const { json } = await side.api.request("GET", `/${version}/containers/web/json`);
    const list = (await side.api.request("GET", `/${version}/containers/json`)).json;
    return [json.NetworkSettings.Networks, list[0].NetworkSettings];
  });

same("IPv6: addresses, routes, published ports", async (side) => {
  const PortBindings = { "80/tcp": [{ HostPort: "7000" }] };
  await side.run("web", { ExposedPorts: { "80/tcp": {} }, HostConfig: { NetworkMode: "six", PortBindings } });
  return {
    settings: await side.settings("web"),
    routes: (await side.exec("web", "ip -6 route"))
      .split("\n")
      .filter((line) => !line.startsWith("fe80"))
      .map((line) => line.trim()),
    hosts: await side.exec("web", "cat /etc/hosts"),
  };
});

same("which interface is eth0: what may lead out, of both families, by name", async (side) => {
  const interfaces = async (first: string, ...others: string[]) => {
    await side.create("web", { HostConfig: { NetworkMode: first } });
    for (const network of others) await side.connect(network, "web");
    await side.api.request("POST", "/containers/web/start");
    const said = await side.exec(
      "web",
      "for i in /sys/class/net/eth*; do ip -4 addr show $(basename $i) | grep -o 'inet [0-9.]*'; done",
    );
    await side.remove();
    return said;
  };
  return [
    await interfaces("inner", "front", "six", "back"),
    await interfaces("bridge", "front", "back"),
    await interfaces("front", "bridge", "inner"),
  ];
});

same("the network of a container that is not there, and of oneself", async (side) => {
  const NetworkMode = "container:web";
  await side.create("web", { HostConfig: { NetworkMode } });
  const own = await side.said("POST", "/containers/web/start");
  await side.remove();
  await side.create("other", { HostConfig: { NetworkMode } });
  return [
    own,
    await side.said("POST", "/containers/other/start"),
    (await side.api.inspect("other")).HostConfig.NetworkMode,
  ];
});

same("connect and disconnect while it runs", async (side) => {
  await side.run("web", { Hostname: "host", HostConfig: { NetworkMode: "front" } });
  const told: unknown[] = [];
  const tell = async (said: string) => told.push(said, await side.settings("web"), await side.exec("web", "ip route"));
  await tell(await side.connect("back", "web", { Aliases: ["x"], IPAMConfig: { IPv4Address: "10.78.0.9" } }));
  told.push(await side.exec("web", "cat /etc/hosts"));
  await tell(await side.connect("back", "web"));
  await tell(await side.connect("bridge", "web"));
  await tell(await side.connect("six", "web", { IPAMConfig: {}, Aliases: [], DriverOpts: {}, Links: [] }));
  await tell(await side.disconnect("front", "web"));
  await tell(await side.disconnect("back", "web"));
  await tell(await side.disconnect("six", "web"));
  await tell(await side.disconnect("bridge", "web"));
  await tell(await side.connect("inner", "web"));
  return told;
});

same("a container of the default network that comes into another uses its resolver", async (side) => {
  await side.run("web");
  const before = settingsIn(await side.exec("web", "cat /etc/resolv.conf"));
  await side.run("db", { HostConfig: { NetworkMode: "front" } });
  const said = await side.connect("front", "web");
  return [
    before,
    said,
    settingsIn(await side.exec("web", "cat /etc/resolv.conf")),
    /Address:? (?:1: )?(10\.\S+)/.exec((await side.exec("web", "nslookup db 127.0.0.11")).replaceAll("\n", " "))?.[1],
  ];
});

same("a container that does not run: networks for its next start", async (side) => {
  await side.create("web", { HostConfig: { NetworkMode: "front" } });
  const said = [
    await side.connect("back", "web"),
    await side.connect("back", "web"),
    await side.disconnect("front", "web"),
  ];
  said.push(await side.disconnect("front", "web"), await side.disconnect("nowhere", "web"));
  said.push(await side.disconnect("nowhere", "nobody"), await side.disconnect("front", "nobody"));
  await side.api.request("POST", "/containers/web/start");
  const { Networks } = (await side.api.inspect("web")).NetworkSettings;
  return [said, Object.keys(Networks), Networks.back.IPAddress];
});

same("what has ended shows no addresses, and the ids of its networks", async (side) => {
  await side.run("web", { HostConfig: { NetworkMode: "front" } });
  await side.api.request("POST", "/containers/web/stop");
  const { SandboxID: _, hasKey: __, ...settings } = (await side.settings("web")) as Record<string, unknown>;
  return [settings, (await side.api.request("GET", "/networks/front")).json.Containers];
});

same("published ports: inspect, list, filters", async (side) => {
  const PortBindings = {
    "80/tcp": [{ HostPort: "8080" }],
    "90/udp": [{ HostIp: "127.0.0.1", HostPort: "9000" }],
    "91/tcp": [{ HostIp: "127.0.0.1", HostPort: "9100-9105" }],
  };
  const ExposedPorts = { "77/tcp": {}, "80/tcp": {}, "90/udp": {}, "91/tcp": {} };
  await side.run("web", { ExposedPorts, HostConfig: { PortBindings } });
  await side.create("other", { ExposedPorts, HostConfig: { PortBindings } });
  const filtered = async (filter: object) => {
    const filters = encodeURIComponent(JSON.stringify(filter));
    const { json } = await side.api.request("GET", `/containers/json?all=1&filters=${filters}`);
    return json.map(({ Names }: { Names: string[] }) => Names).sort();
  };
  const [listed] = (await side.api.request("GET", "/containers/json")).json;
  type Listed = { IP?: string; PrivatePort: number };
  return {
    ports: withoutProxied((await side.api.inspect("web")).NetworkSettings.Ports),
    listed: listed.Ports.filter(({ IP }: Listed) => IP !== "::").sort(
      (a: Listed, b: Listed) => a.PrivatePort - b.PrivatePort,
    ),
    bindings: (await side.api.inspect("web")).HostConfig.PortBindings,
    filtered: [
      await filtered({ publish: ["8080"] }),
      await filtered({ publish: ["80"] }),
      await filtered({ publish: ["9000/udp"] }),
      await filtered({ publish: ["8000-10000"] }),
      await filtered({ expose: ["77"] }),
      await filtered({ expose: ["8080"] }),
      await filtered({ network: ["bridge"] }),
      await filtered({ network: ["front"] }),
    ],
  };
});

same("ports where there is no way in are not published", async (side) => {
  const PortBindings = { "80/tcp": [{ HostPort: "8099" }] };
  const seen: unknown[] = [];
  for (const NetworkMode of ["inner", "none", "host"]) {
    await side.run(`on-${NetworkMode}`, { ExposedPorts: { "80/tcp": {} }, HostConfig: { NetworkMode, PortBindings } });
    seen.push(await side.settings(`on-${NetworkMode}`));
  }
  return seen;
});

same("a port that is taken", async (side) => {
  const body = { ExposedPorts: { "80/tcp": {} }, HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "8080" }] } } };
  await side.run("first", body);
  const second = await side.create("second", body);
  const said = (await side.said("POST", `/containers/${second}/start`)).replace(/\([0-9a-f]{64}\)/, "(ID)");
  const { Status, ExitCode } = (await side.api.inspect("second")).State;
  return [said, Status, ExitCode, (await side.api.request("GET", "/networks/bridge")).json.Containers];
});

same("a port that is taken when a network with a way in is connected to", async (side) => {
  const HostConfig = { PortBindings: { "80/tcp": [{ HostPort: "8080" }] } };
  const ExposedPorts = { "80/tcp": {} };
  await side.run("first", { ExposedPorts, HostConfig });
  await side.run("second", { ExposedPorts, HostConfig: { ...HostConfig, NetworkMode: "inner" } });
  const said = (await side.connect("back", "second")).replace(/\([0-9a-f]{64}\)/, "(ID)");
  // Of what the container has nothing is compared: Docker 26 leaves it the interface, and a second attempt fails over that.
  return [said, (await side.api.request("GET", "/networks/back")).json.Containers];
});

same("links on the default network: files, variables, refusals", async (side) => {
  await side.run("db", {
    ExposedPorts: { "5432/tcp": {}, "70/tcp": {}, "71/tcp": {}, "72/tcp": {}, "53/udp": {} },
    Env: ["FOO=b=c"],
  });
  await side.run("web", { HostConfig: { Links: ["db:my-data", "db"] } });
  const told = [
    // Docker takes the links in any order.
    (await side.exec("web", "env | grep -v -e TERM -e HOME")).split("\n").sort(),
    (await side.exec("web", "cat /etc/hosts")).split("\n").sort(),
    (await side.api.inspect("web")).HostConfig.Links.sort(),
    (await side.api.request("GET", "/containers/json")).json.map(({ Names }: { Names: string[] }) => Names.sort()),
  ];
  await side.api.request("POST", "/containers/db/stop");
  told.push((await side.said("POST", "/containers/web/restart")).replace(/[^/]*$/, "")); // Docker looks at any first
  const refuse = (Links: string[], NetworkMode = "bridge") =>
    side.said("POST", "/containers/create", { Image: "busybox", HostConfig: { Links, NetworkMode } });
  told.push(await refuse(["nonesuch:x"]), await refuse(["db:x"], "host"), await refuse(["db:x"], "container:db"));
  told.push(
    await side.said("DELETE", "/containers/web/my-data?link=1"),
    (await side.api.inspect("web")).HostConfig.Links,
  );
  return told;
});

same("what nobody may want of a network is refused, when it is created or when it starts", async (side) => {
  const wish = async (network: string, settings: object) => {
    const NetworkingConfig = { EndpointsConfig: { [network]: settings } };
    const body = { Image: "busybox", Cmd: ["true"], HostConfig: { NetworkMode: network }, NetworkingConfig };
    const created = await side.said("POST", "/containers/create?name=wishing", body);
    const started = created.startsWith("201") ? await side.said("POST", "/containers/wishing/start") : "";
    await side.api.request("DELETE", "/containers/wishing?force=1");
    return [created, started, await side.connect(network, "web", settings), await side.disconnect(network, "web")];
  };
  const told: unknown[] = [];
  await side.run("web", { HostConfig: { NetworkMode: "back" } });
  for (const IPAMConfig of [
    { LinkLocalIPs: ["10.1.2.3"] },
    { LinkLocalIPs: ["169.254.7.7", "fe80::7", "fd00::7"] },
    { LinkLocalIPs: ["0.0.0.0"] },
    { LinkLocalIPs: ["nonsense"] },
    { IPv6Address: "::ffff:10.79.0.9" },
    { IPv6Address: "::ffff:0a4f:0009" },
    { IPv6Address: "::" },
    { IPv4Address: "0.0.0.0" },
    { IPv4Address: "::1" },
  ])
    told.push([IPAMConfig, await wish("six", { IPAMConfig })]);
  for (const network of ["bridge", "none", "host"]) {
    told.push([network, await wish(network, { Aliases: ["other"] })]);
    told.push([network, await wish(network, { IPAMConfig: { IPv4Address: "10.79.0.9" } })]);
  }
  return told;
});

same("a link to a container that is not on the default network", async (side) => {
  await side.run("db", { HostConfig: { NetworkMode: "front" } });
  await side.run("alone", { HostConfig: { NetworkMode: "none" } });
  await side.run("data");
  await side.run("guest", { HostConfig: { NetworkMode: "container:data" } });
  const link = async (name: string) => {
    const HostConfig = { Links: [name] };
    const body = { Image: "busybox", Cmd: ["sleep", "1000"], HostConfig };
    const said = [await side.said("POST", "/containers/create?name=web", body)];
    said.push(await side.said("POST", "/containers/web/start"), (await side.api.inspect("web")).HostConfig?.Links);
    await side.api.request("DELETE", "/containers/web?force=1");
    return said;
  };
  return [await link("db:x"), await link("alone:x"), await link("guest:x")];
});

same("IPC of other containers, and /dev/shm with it: who may join whom, and what is shared", async (side) => {
  const told: unknown[] = [];
  const start = async (name: string, IpcMode: string, more: object = {}) => {
    const HostConfig = { NetworkMode: "none", IpcMode, ShmSize: 1 << 20, ...more };
    const body = { Image: "busybox", Cmd: ["sleep", "1000"], StopTimeout: 0, HostConfig };
    const created = await side.said("POST", `/containers/create?name=${name}`, body);
    told.push([created, created.startsWith("201") && (await side.said("POST", `/containers/${name}/start`))]);
  };
  const covering = { Tmpfs: { "/dev/shm": "" } };
  await start("alone", "private");
  await start("on-host", "host");
  await start("donor", "shareable");
  await start("covered", "shareable", covering);
  for (const peer of ["gone", "alone", "on-host", "donor", "covered"]) await start(`with-${peer}`, `container:${peer}`);
  await start("covering", "container:donor", covering);
  await start("third", "container:covering");
  await side.api.request("POST", "/containers/donor/stop");
  await start("late", "container:donor");
  await side.api.request("POST", "/containers/donor/start");
  const look = 'readlink /proc/self/ns/ipc; stat -c "%d %a %u" /dev/shm; grep " /dev/shm " /proc/mounts';
  const seen = new Map<string, string>();
  for (const name of ["donor", "with-donor", "with-on-host", "covering", "third"])
    seen.set(name, await side.exec(name, look));
  const same = (a: string, b: string) => seen.get(a) === seen.get(b);
  told.push(same("with-donor", "third"), same("donor", "with-donor"), same("covering", "third"));
  told.push(seen.get("third")?.split("\n").slice(-2));
  return told;
});

same("a linked container that is started again is found at its new address", async (side) => {
  await side.run("db");
  await side.run("web", { HostConfig: { Links: ["db:data"] } });
  await side.api.request("POST", "/containers/db/stop");
  await side.run("other"); // has its address now
  await side.api.request("POST", "/containers/db/start");
  const { IPAddress } = (await side.api.inspect("db")).NetworkSettings;
  return [(await side.exec("web", "cat /etc/hosts")).includes(`${IPAddress}\tdata`)];
});

same("names on a user-defined network: aliases, links, short ids, renamed", async (side) => {
  const db = await side.run("db", {
    HostConfig: { NetworkMode: "front" },
    NetworkingConfig: { EndpointsConfig: { front: { Aliases: ["store"] } } },
  });
  await side.run("web", {
    HostConfig: { NetworkMode: "front" },
    NetworkingConfig: { EndpointsConfig: { front: { Links: ["db:linked"] } } },
  });
  const address = (await side.api.inspect("db")).NetworkSettings.Networks.front.IPAddress;
  const finds = async (name: string) =>
    (await side.exec("web", `nslookup -timeout=1 -retry=1 ${name} 127.0.0.11`)).includes(address);
  const found: unknown[] = [];
  for (const name of ["db", "store", db.slice(0, 12), "linked", "db.front", "nonesuch", "DB"])
    found.push(await finds(name));
  await side.api.request("POST", "/containers/db/rename?name=base");
  for (const name of ["base", "db", "store"]) found.push(await finds(name));
  return [found, (await side.api.inspect("base")).NetworkSettings.Networks.front.DNSNames];
});

same("the settings of DNS and extra hosts", async (side) => {
  const HostConfig = {
    ...{ Dns: ["9.9.9.9"], DnsSearch: ["foo.com"], DnsOptions: ["ndots:3"] },
    ExtraHosts: ["gate:host-gateway", "y:1.2.3.4"],
  };
  const told: unknown[] = [];
  for (const NetworkMode of ["bridge", "front", "none", "host"]) {
    await side.run(`in-${NetworkMode}`, { HostConfig: { ...HostConfig, NetworkMode } });
    told.push(settingsIn(await side.exec(`in-${NetworkMode}`, "cat /etc/resolv.conf")));
    told.push(await side.exec(`in-${NetworkMode}`, "cat /etc/hosts"));
  }
  return told;
});

same("a container in another's network", async (side) => {
  await side.run("db", { HostConfig: { NetworkMode: "front" } });
  await side.run("guest", { HostConfig: { NetworkMode: "container:db" } });
  const told = [
    await side.settings("guest"),
    await side.exec("guest", "ip -o addr show eth0 | grep -o 'inet [^ ]*'"),
    await side.exec("guest", "cat /etc/hosts"),
  ];
  for (const name of ["guest", "db"]) await side.api.request("POST", `/containers/${name}/stop`);
  told.push(await side.said("POST", "/containers/guest/start"));
  return told;
});

same("a disabled network", async (side) => {
  await side.run("web", { NetworkDisabled: true });
  const { SandboxID: _, ...settings } = (await side.settings("web")) as Record<string, unknown>;
  return [
    settings,
    (await side.api.inspect("web")).HostConfig.NetworkMode,
    await side.exec("web", "ls /sys/class/net"),
  ];
});

same("events of networks", async (side) => {
  const since = (Date.now() / 1000).toFixed(3);
  await side.run("web", { HostConfig: { NetworkMode: "front" } });
  await side.connect("back", "web");
  await side.disconnect("front", "web");
  await side.api.request("POST", "/containers/web/kill");
  const filters = encodeURIComponent(JSON.stringify({ type: ["network"] }));
  const until = (Date.now() / 1000 + 0.005).toFixed(3);
  const { text } = await side.api.request("GET", `/events?since=${since}&until=${until}&filters=${filters}`);
  const events = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const { Action, Actor, scope } = JSON.parse(line);
      return JSON.stringify([Action, Actor, scope]);
    });
  return events.filter((event, index) => event !== events[index - 1]); // Docker tells of a disconnect twice
});

/** Bodies of a create request, and whether it is started. */
const REFUSED: readonly [string, object][] = [
  ["a network that is not there", { HostConfig: { NetworkMode: "nonesuch" } }],
  [
    "an endpoint whose network is not there",
    { HostConfig: { NetworkMode: "front" }, NetworkingConfig: { EndpointsConfig: { nonesuch: {} } } },
  ],
  ["a MAC address that is none", { MacAddress: "zz" }],
  [
    "two MAC addresses",
    {
      MacAddress: "02:42:ac:11:00:99",
      NetworkingConfig: { EndpointsConfig: { default: { MacAddress: "02:42:ac:11:00:98" } } },
    },
  ],
  ["a MAC address of the container", { MacAddress: "02:42:ac:11:00:99" }],
  ["a port's name", { HostConfig: { PortBindings: { "80": [{ HostPort: "abc" }] } } }],
  ["a port beyond", { HostConfig: { PortBindings: { "70000/tcp": [{ HostPort: "80" }] } } }],
  ["a range downwards", { HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "80-70" }] } } }],
  [
    "ports on the host's network",
    { HostConfig: { NetworkMode: "host", PortBindings: { "80/tcp": [{ HostPort: "80" }] } } },
  ],
  ...(["front", "auto", "bridge", "host"] as const).flatMap((network): [string, object][] =>
    [
      { IPAMConfig: { IPv4Address: "zz" } },
      { IPAMConfig: { IPv6Address: "zz" } },
      { IPAMConfig: { IPv4Address: "10.9.9.9" } },
      { IPAMConfig: { IPv6Address: "fd00::5" } },
      { IPAMConfig: { LinkLocalIPs: ["zz"] } },
      { MacAddress: "zz" },
    ].map((settings) => [
      `${JSON.stringify(settings)} in ${network}`,
      { HostConfig: { NetworkMode: network }, NetworkingConfig: { EndpointsConfig: { [network]: settings } } },
    ]),
  ),
  ["an alias on the default network", { NetworkingConfig: { EndpointsConfig: { bridge: { Aliases: ["x"] } } } }],
  [
    "the gateway's address",
    {
      HostConfig: { NetworkMode: "front" },
      NetworkingConfig: { EndpointsConfig: { front: { IPAMConfig: { IPv4Address: "10.77.0.1" } } } },
    },
  ],
];
for (const [what, body] of REFUSED)
  same(`create and start: ${what}`, async (side) => {
    const { status, json } = await side.api.request("POST", "/containers/create", {
      Image: "busybox",
      Cmd: ["sleep", "9"],
      ...body,
    });
    if (status !== 201) return [status, json.message];
    try {
      return [json.Warnings, await side.said("POST", `/containers/${json.Id}/start`)];
    } finally {
      await side.api.request("DELETE", `/containers/${json.Id}?force=1`);
    }
  });

same("connect and disconnect: what is refused", async (side) => {
  await side.run("web", { HostConfig: { NetworkMode: "front" } });
  await side.run("on-host", { HostConfig: { NetworkMode: "host" } });
  await side.run("alone", { HostConfig: { NetworkMode: "none" } });
  await side.run("guest", { HostConfig: { NetworkMode: "container:web" } });
  await side.create("stopped", { HostConfig: { NetworkMode: "front" } });
  return [
    await side.connect("front", "nonesuch"),
    await side.connect("nonesuch", "web"),
    await side.connect("front", "web"),
    await side.connect("host", "web"),
    await side.connect("none", "web"),
    await side.connect("front", "on-host"),
    await side.connect("front", "alone"),
    await side.connect("front", "guest"),
    await side.connect("host", "stopped"),
    await side.connect("none", "stopped"),
    await side.connect("back", "web", { IPAMConfig: { IPv4Address: "10.9.9.9" } }),
    await side.connect("back", "web", { IPAMConfig: { IPv4Address: "zz" } }),
    await side.connect("front", ""),
    await side.disconnect("front", "nonesuch"),
    await side.disconnect("nonesuch", "web"),
    await side.disconnect("back", "web"),
    await side.disconnect("front", "guest"),
    await side.disconnect("back", "stopped"),
    await side.disconnect("none", "alone"),
    await side.connect("front", "alone"),
    await side.exec("alone", "ip route"),
  ];
});
