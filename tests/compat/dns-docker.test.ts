import { afterAll, beforeAll, expect } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { inNetworkNamespace } from "../../src/linux/sys/network-namespace.ts";
import { answerFrom } from "../../src/network/dns/answer.ts";
import { encodeAnswer, parseQuery } from "../../src/network/dns/message.ts";
import { NameTable, planResolvConf, RESOLVER_ADDRESS, resolvConfPath } from "../../src/network/dns/mod.ts";
import { buildQuery, readMessage } from "../support/dns-message.ts";
import { asAnswer } from "../support/dns-peers.ts";
import { testIf } from "../support/test-if.ts";
import { PrivateDocker, whyNoDocker } from "./cli-support.ts";

/** Which names a container's resolver knows, what it says of them, and its resolv.conf: ours against dockerd's. */

const reason = whyNoDocker();
const dockered = testIf(reason === undefined, reason ?? "");

const A = 1;
const PTR = 12;
const MX = 15;
const TXT = 16;
const AAAA = 28;
/** What the server that Docker's resolver asks marks its answers with: AD, which nobody else sets. */
const PASSED_ON = 0x20;
const UPSTREAM = "127.0.0.53";

let docker: PrivateDocker;
let namespaceFd = -1;
let upstream: Bun.udp.Socket<"buffer">;
const table = new NameTable();
/** By container name, as dockerd has given them. */
const ids: Record<string, string> = {};
const addresses: Record<string, string> = {};

async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await docker.docker(args);
  if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

interface Place {
  IPAddress: string;
  GlobalIPv6Address: string;
  EndpointID: string;
  NetworkID: string;
}

/** Starts a container, and tells our table what dockerd made of it. */
async function start(name: string, networks: Record<string, readonly string[]>, flags: readonly string[] = []) {
  const [[first, aliases], ...others] = Object.entries(networks) as [[string, string[]], ...[string, string[]][]];
  const aliasFlags = (names: readonly string[], flag: string) => names.flatMap((alias) => [flag, alias]);
  const command = ["run", "-d", "--name", name, "--network", first, ...aliasFlags(aliases, "--network-alias")];
  const id = await run(...command, ...flags, "busybox", "sleep", "10000");
  for (const [network, more] of others) await run("network", "connect", ...aliasFlags(more, "--alias"), network, id);
  ids[name] = id;
  const inspected = JSON.parse(await run("inspect", id))[0];
  for (const [network, place] of Object.entries<Place>(inspected.NetworkSettings.Networks)) {
    addresses[`${name}@${network}`] = place.IPAddress;
    table.add({
      endpointId: place.EndpointID,
      containerId: id,
      networkId: place.NetworkID,
      networkName: network,
      names: [name, ...(networks[network] ?? []), id.slice(0, 12), inspected.Config.Hostname],
      links: network === "one" && name === "client" ? [{ alias: "link", containerId: ids.Web! }] : [],
      ipv4: place.IPAddress,
      ...(place.GlobalIPv6Address === "" ? {} : { ipv6: place.GlobalIPv6Address }),
    });
  }
}

beforeAll(async () => {
  if (reason !== undefined) return;
  docker = await PrivateDocker.start([], { networks: true });
  for (const network of ["one", "two", "far"]) await run("network", "create", network);
  await run("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "six");
  await start("Web", { one: ["db", "Dotted.Name"] });
  await start("second", { one: ["db"] });
  await start("dual", { six: ["both"] });
  await start("other", { two: [] });
  await start("far-away", { far: [] });
  const flags = ["--link", "Web:link", "--hostname", "my-host", "--dns", UPSTREAM];
  await start("client", { one: [], two: ["mine"], six: [] }, flags);
  const pid = await run("inspect", "-f", "{{.State.Pid}}", "client");
  namespaceFd = openSync(`/proc/${pid}/ns/net`, "r");
  upstream = await inNetworkNamespace(namespaceFd, () =>
    Bun.udpSocket({
      hostname: UPSTREAM,
      port: 53,
      socket: { data: (socket, message, port, from) => void socket.send(asAnswer(message, PASSED_ON), port, from) },
    }),
  );
}, 120_000);

afterAll(async () => {
  if (reason !== undefined) return;
  upstream?.close();
  if (namespaceFd !== -1) closeSync(namespaceFd);
  await docker?.stop();
}, 60_000);

interface Said {
  flags: number;
  answers: string[];
}

function said(message: Uint8Array): Said | "passed on" {
  const { flags, answers } = readMessage(message);
  if ((flags & PASSED_ON) !== 0) return "passed on";
  const texts = answers.map(({ name, type, class: klass, ttl, data }) => `${name} ${ttl} ${klass} ${type} ${data}`);
  return { flags, answers: texts.sort() };
}

async function dockers(query: Uint8Array): Promise<Said | "passed on"> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  const socket = await inNetworkNamespace(namespaceFd, () =>
    Bun.udpSocket({
      connect: { hostname: RESOLVER_ADDRESS, port: 53 },
      socket: { data: (_socket, message) => resolve(new Uint8Array(message)) },
    }),
  );
  socket.send(query);
  const answer = await promise;
  socket.close();
  return said(answer);
}

function ours(message: Uint8Array): Said | "passed on" {
  const query = parseQuery(message);
  if (typeof query !== "object") throw new Error("a query that we refuse");
  const records = answerFrom(table.view(ids.client!), query);
  return records === undefined ? "passed on" : said(encodeAnswer(query, records, query.udpMaxBytes));
}

dockered("a container's names are answered as by Docker", async () => {
  const reversed = (place: string) => `${addresses[place]!.split(".").reverse().join(".")}.in-addr.arpa`;
  const short = ids.Web!.slice(0, 12);
  const known = [
    ...["Web", "web", "WEB.one", "db", "db.one", "dotted.name", "Dotted.Name.one", short, `${short}.one`].map(
      (name) => [name, A],
    ),
    ...["second", "other", "other.two", "client", "mine", "mine.two", "my-host", "link", "link.one", "both"].map(
      (name) => [name, A],
    ),
    ...["dual", "both.six", "client", "Web", "link", "db.one"].map((name) => [name, AAAA]),
    ...["Web", "dual.six"].map((name) => [name, MX]),
    ...["Web@one", "second@one", "dual@six", "client@two", "client@one"].map((place) => [reversed(place), PTR]),
    [`2${".0".repeat(23)}.7.7.0.0.0.0.d.f.ip6.arpa`, PTR],
  ] as [string, number][];
  const unknown = [
    ...["far-away", "far-away.far", "Web.two", "mine.one", "nope", "Web.example.com", ids.Web!.slice(0, 11), "one"].map(
      (name) => [name, A],
    ),
    ...["far-away", "nope.one"].map((name) => [name, AAAA]),
    ...[reversed("far-away@far"), "1.0.0.127.in-addr.arpa", "Web", "x.in-addr.arpa"].map((name) => [name, PTR]),
    ["Web", TXT],
    ["nope", MX],
  ] as [string, number][];
  for (const [names, isKnown] of [
    [known, true],
    [unknown, false],
  ] as const)
    for (const [name, type] of names) {
      const query = buildQuery({ id: 1, name, type });
      const answer = ours(query);
      expect(answer, `${name} ${type}`).toEqual(await dockers(query));
      expect(answer !== "passed on", `${name} ${type}`).toBe(isKnown);
    }
});

dockered.each([
  [{ servers: [], search: [], options: [] }],
  [{ servers: ["10.9.9.9", "127.0.0.9", "fd00::53"], search: [], options: [] }],
  [{ servers: [], search: ["lab.example", "example"], options: ["rotate", "timeout:2"] }],
  [{ servers: ["10.9.9.9"], search: ["."], options: ["ndots:2"] }],
])("resolv.conf is Docker's but for its first lines: %j", async (lists) => {
  const hostPath = resolvConfPath(readFileSync("/etc/resolv.conf", "utf8"));
  const flags = [
    ...lists.servers.flatMap((server) => ["--dns", server]),
    ...lists.search.flatMap((domain) => ["--dns-search", domain]),
    ...lists.options.flatMap((option) => ["--dns-option", option]),
  ];
  const body = (text: string) => text.slice(text.indexOf("\nnameserver ") + 1);
  for (const [network, resolver] of [
    ["one", RESOLVER_ADDRESS],
    ["bridge", undefined],
  ] as const) {
    const dockers = await run("run", "--rm", "--network", network, ...flags, "busybox", "cat", "/etc/resolv.conf");
    const { text } = planResolvConf({
      ...{ hostText: readFileSync(hostPath, "utf8"), hostPath, ...lists, ipv6: false },
      ...(resolver === undefined ? {} : { resolver }),
    });
    expect(body(text)).toBe(`${body(`${dockers}\n`)}`);
  }
});
