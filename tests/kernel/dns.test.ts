// needs: ip nft python3
import { afterAll, afterEach, beforeAll, expect } from "bun:test";
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DNS_CONNECTIONS_MAX, DNS_FORWARDS_MAX } from "../../src/base/limits.ts";
import { NETLINK, NetlinkSocket } from "../../src/linux/netlink/mod.ts";
import { resolverRedirect } from "../../src/linux/nftables/mod.ts";
import { inNetworkNamespace } from "../../src/linux/sys/network-namespace.ts";
import {
  type NameAddresses,
  RESOLVER_ADDRESS,
  RESOLVER_PORT,
  type Resolver,
  startResolver,
  type Upstream,
} from "../../src/network/dns/mod.ts";
import { buildQuery, type QueryParts, readMessage } from "../support/dns-message.ts";
import { asAnswer, askByTcp, askByUdp, FakeServer, TcpConnection } from "../support/dns-peers.ts";
import { enterNetworkNamespace } from "../support/enter-network-namespace.ts";
import { eventually, until } from "../support/eventually.ts";
import { NetworkNamespace } from "../support/network-namespace.ts";
import { isRoot, rooted, rootedWith } from "../support/stage.ts";

/** The resolver in a network namespace that stands for a container's; this process is in another, the host's. */

if (isRoot) enterNetworkNamespace();

const A = 1;
const PTR = 12;
const TXT = 16;
const AAAA = 28;
const SERVFAIL = 2;
const NXDOMAIN = 3;
const REFUSED = 5;

const hosts: Record<string, NameAddresses> = {
  web: { ipv4: ["172.18.0.2"], ipv6: [] },
  six: { ipv4: ["172.18.0.3"], ipv6: ["fd00::3"] },
  "web.backend": { ipv4: ["172.18.0.2"], ipv6: [] },
  many: { ipv4: Array.from({ length: 1000 }, (_, index) => `10.0.${index >> 8}.${index & 0xff}`), ipv6: [] },
};
const names = {
  lookup: (name: string) => {
    if (name === "bug") throw new Error("a broken name source");
    if (name === "slow") for (const endMs = performance.now() + 0.05; performance.now() < endMs; );
    return hosts[name];
  },
  reverse: (address: string) => (address === "172.18.0.2" ? "web.backend" : undefined),
};

let container: NetworkNamespace;
let namespaceFd: number;
const open: Disposable[] = [];

beforeAll(async () => {
  if (!isRoot) return;
  container = await NetworkNamespace.create();
  namespaceFd = openSync(container.path, "r");
});

afterAll(async () => {
  if (!isRoot) return;
  closeSync(namespaceFd);
  await container[Symbol.asyncDispose]();
});

afterEach(() => {
  for (const each of open.splice(0)) each[Symbol.dispose]();
});

function keep<T extends Disposable>(disposable: T): T {
  open.push(disposable);
  return disposable;
}

async function start(upstream: Partial<Upstream> = {}): Promise<Resolver> {
  const nothing = { servers: [], forwards: true, keepsSingleLabels: false };
  return keep(await startResolver({ networkNamespace: container.path, names, ...nothing, ...upstream }));
}

const inContainer = (address: string) => ({ address, fromHost: false });
const onHost = (address: string) => ({ address, fromHost: true });

async function server(where: "container" | "host", address: string, reply: Parameters<typeof FakeServer.start>[2]) {
  return keep(await FakeServer.start(where === "container" ? namespaceFd : 0, address, reply));
}

async function ask(query: QueryParts, by = askByUdp) {
  return readMessage(await by(namespaceFd, buildQuery({ id: 4711, ...query })));
}

const rcode = (answer: { flags: number }) => answer.flags & 0xf;

rooted("the resolver answers for names of ours, by UDP and by TCP", async () => {
  await start();
  for (const by of [askByUdp, askByTcp]) {
    const answer = await ask({ name: "WEB", type: A }, by);
    expect(answer).toMatchObject({ id: 4711, flags: 0x8180, answers: [{ name: "WEB", ttl: 600, data: "ac120002" }] });
    expect((await ask({ name: "six", type: AAAA }, by)).answers).toHaveLength(1);
    const reverse = await ask({ name: "2.0.18.172.in-addr.arpa", type: PTR }, by);
    expect(reverse.answers).toMatchObject([{ type: PTR, data: "web.backend" }]);
  }
});

rooted("an IPv6 address of a name without one is no answer at once, whatever other servers do", async () => {
  const silent = await server("container", "127.0.0.53", () => undefined);
  await start({ servers: [inContainer("127.0.0.53")] });
  expect(await ask({ name: "web", type: AAAA })).toMatchObject({ flags: 0x8180, answers: [] });
  expect(silent.seen).toEqual([]);
});

rooted("a query that is broken is refused, one that is none gets no answer, and the next is answered", async () => {
  await start();
  const twoQuestions = buildQuery({ id: 5, name: "web", type: A });
  twoQuestions[5] = 2;
  expect(readMessage(await askByUdp(namespaceFd, twoQuestions))).toMatchObject({ id: 5, flags: 0x8101 });
  using connection = await TcpConnection.open(namespaceFd);
  const noAnswer = buildQuery({ id: 6, name: "web", type: A, flags: 0x8180 });
  connection.send(noAnswer, twoQuestions, buildQuery({ id: 7, name: "web", type: A }));
  const answers = (await connection.received(2)).map(readMessage);
  expect(answers.map(({ id, flags }) => [id, flags])).toEqual([
    [5, 0x8101],
    [7, 0x8180],
  ]);
});

rooted("a name source that throws fails that query and no other", async () => {
  await start();
  expect(rcode(await ask({ name: "bug", type: A }))).toBe(SERVFAIL);
  expect(rcode(await ask({ name: "web", type: A }))).toBe(0);
});

rooted("other queries go to the servers byte for byte but for the id, and so do their answers", async () => {
  const upstream = await server("container", "127.0.0.53", (message) =>
    Buffer.concat([asAnswer(message), Buffer.from("whatever else")]),
  );
  await start({ servers: [inContainer("127.0.0.53")] });
  const query = buildQuery({ id: 4711, name: "Ex.Com", type: TXT, ednsBytes: 4096, flags: 0x0130 });
  for (const [by, protocol] of [
    [askByUdp, "udp"],
    [askByTcp, "tcp"],
  ] as const) {
    const answer = await by(namespaceFd, query);
    const seen = upstream.seen.at(-1)!;
    expect(seen.protocol).toBe(protocol);
    expect(seen.message.slice(2)).toEqual(query.slice(2));
    expect(Buffer.from(answer)).toEqual(Buffer.concat([asAnswer(query), Buffer.from("whatever else")]));
  }
});

rooted("each query that is passed on has a port and an id that nobody can guess", async () => {
  const upstream = await server("container", "127.0.0.53", (message) => asAnswer(message));
  await start({ servers: [inContainer("127.0.0.53")] });
  for (let count = 0; count < 40; count++) await ask({ name: "ex.com", type: A });
  const ids = upstream.seen.map(({ message }) => (message[0]! << 8) | message[1]!);
  // 40 of 65536 ids, or of 28232 ports: more than three that coincide are no chance.
  expect(new Set(ids).size).toBeGreaterThan(36);
  expect(new Set(upstream.seen.map(({ port }) => port)).size).toBeGreaterThan(36);
});

rooted("a server of the host is asked from there, one of the container from its own namespace", async () => {
  const onTheHost = await server("host", "127.0.0.53", (message) => asAnswer(message, 0x20));
  const inTheContainer = await server("container", "127.0.0.53", (message) => asAnswer(message, 0x10));
  const resolver = await start({ servers: [onHost("127.0.0.53")] });
  for (const by of [askByUdp, askByTcp]) {
    resolver.setUpstream({ servers: [onHost("127.0.0.53")], forwards: true, keepsSingleLabels: false });
    expect((await ask({ name: "ex.com", type: A }, by)).flags & 0x30).toBe(0x20);
    resolver.setUpstream({ servers: [inContainer("127.0.0.53")], forwards: true, keepsSingleLabels: false });
    expect((await ask({ name: "ex.com", type: A }, by)).flags & 0x30).toBe(0x10);
  }
  expect([onTheHost.seen.length, inTheContainer.seen.length]).toEqual([2, 2]);
});

rooted("a container without a way out has the host's servers asked for nothing", async () => {
  const onTheHost = await server("host", "127.0.0.53", (message) => asAnswer(message));
  const inTheContainer = await server("container", "127.0.0.54", (message) => asAnswer(message));
  const resolver = await start({ servers: [onHost("127.0.0.53"), inContainer("127.0.0.54")], forwards: false });
  expect(rcode(await ask({ name: "ex.com", type: A }))).toBe(0);
  resolver.setUpstream({ servers: [onHost("127.0.0.53")], forwards: false, keepsSingleLabels: false });
  expect(await ask({ name: "ex.com", type: A, ednsBytes: 1232 })).toMatchObject({ flags: 0x8102, answers: [] });
  expect(rcode(await ask({ name: "web", type: A }))).toBe(0);
  expect([onTheHost.seen.length, inTheContainer.seen.length]).toEqual([0, 1]);
});

rooted(
  "a server that fails, refuses or is not there leaves it to the next; a name that is nowhere is an answer",
  async () => {
    let code = SERVFAIL;
    const first = await server("container", "127.0.0.53", (message) => asAnswer(message, code));
    const second = await server("container", "127.0.0.54", (message) => asAnswer(message, 0x20));
    const absent = [inContainer("127.0.0.99"), inContainer("10.1.2.3"), inContainer("fd00::53")];
    const resolver = await start({ servers: [inContainer("127.0.0.53"), inContainer("127.0.0.54")] });
    for (code of [SERVFAIL, REFUSED]) expect((await ask({ name: "ex.com", type: A })).flags & 0x2f).toBe(0x20);
    code = NXDOMAIN;
    for (const by of [askByUdp, askByTcp]) expect(rcode(await ask({ name: "ex.com", type: A }, by))).toBe(NXDOMAIN);
    expect([first.seen.length, second.seen.length]).toEqual([4, 2]);
    for (const server of absent) {
      resolver.setUpstream({ servers: [server, inContainer("127.0.0.54")], forwards: true, keepsSingleLabels: false });
      for (const by of [askByUdp, askByTcp]) expect(rcode(await ask({ name: "ex.com", type: A }, by))).toBe(0);
    }
    resolver.setUpstream({ servers: absent, forwards: true, keepsSingleLabels: false });
    for (const by of [askByUdp, askByTcp]) expect(rcode(await ask({ name: "ex.com", type: A }, by))).toBe(SERVFAIL);
  },
);

rooted("no more than three servers are asked, and never ourselves", async () => {
  const fourth = await server("container", "127.0.0.54", (message) => asAnswer(message));
  const absent = inContainer("127.0.0.99");
  const resolver = await start({ servers: [absent, absent, absent, inContainer("127.0.0.54")] });
  expect(rcode(await ask({ name: "ex.com", type: A }))).toBe(SERVFAIL);
  const servers = [inContainer(RESOLVER_ADDRESS), absent, absent, inContainer("127.0.0.54")];
  resolver.setUpstream({ servers, forwards: true, keepsSingleLabels: false });
  expect(rcode(await ask({ name: "ex.com", type: A }))).toBe(0);
  expect(fourth.seen).toHaveLength(1);
});

rooted("a server that says nothing is given four seconds, then the next is asked; others do not wait", async () => {
  await server("container", "127.0.0.53", () => undefined);
  await server("container", "127.0.0.54", (message) => asAnswer(message));
  await start({ servers: [inContainer("127.0.0.53"), inContainer("127.0.0.54")] });
  const startMs = performance.now();
  const [byUdp, byTcp, local] = await Promise.all([
    ask({ name: "ex.com", type: A }),
    ask({ name: "ex.com", type: A }, askByTcp),
    ask({ name: "web", type: A }).then(() => performance.now() - startMs),
  ]);
  expect([rcode(byUdp), rcode(byTcp)]).toEqual([0, 0]);
  expect(performance.now() - startMs).toBeWithin(3900, 8000);
  expect(local).toBeLessThan(2000);
});

rooted("answers to other queries than ours are not answers", async () => {
  const wrongId = (message: Uint8Array) => {
    const answer = asAnswer(message);
    answer[1]! ^= 1;
    return answer;
  };
  const wrongName = (message: Uint8Array) => {
    const answer = asAnswer(message);
    answer[13]! ^= 1;
    return answer;
  };
  await server("container", "127.0.0.53", (message) => [
    wrongId(message),
    wrongName(message),
    message,
    Buffer.from("this is no message"),
    asAnswer(message, 0x20),
  ]);
  await start({ servers: [inContainer("127.0.0.53")] });
  for (const by of [askByUdp, askByTcp])
    expect(await ask({ name: "ex.com", type: A }, by)).toMatchObject({ id: 4711, flags: 0x81a0 });
});

rooted("a server that has no end of other messages is given up", async () => {
  await server("container", "127.0.0.53", (message) => new Array<Uint8Array>(40).fill(message));
  await server("container", "127.0.0.54", (message) => asAnswer(message));
  await start({ servers: [inContainer("127.0.0.53"), inContainer("127.0.0.54")] });
  const startMs = performance.now();
  for (const by of [askByUdp, askByTcp]) expect(rcode(await ask({ name: "ex.com", type: A }, by))).toBe(0);
  expect(performance.now() - startMs).toBeLessThan(3000);
});

rooted("servers with IPv6 addresses are asked, also by way of an interface that they name", async () => {
  const upstream = await server("container", "::1", (message) => asAnswer(message));
  const resolver = await start();
  for (const address of ["::1", "::1%lo"]) {
    resolver.setUpstream({ servers: [inContainer(address)], forwards: true, keepsSingleLabels: false });
    for (const by of [askByUdp, askByTcp]) expect(rcode(await ask({ name: "ex.com", type: A }, by))).toBe(0);
  }
  resolver.setUpstream({ servers: [inContainer("fe80::1%nope")], forwards: true, keepsSingleLabels: false });
  for (const by of [askByUdp, askByTcp]) expect(rcode(await ask({ name: "ex.com", type: A }, by))).toBe(SERVFAIL);
  expect(upstream.seen).toHaveLength(4);
});

rooted("an answer that a server cut off makes the client ask by TCP", async () => {
  const upstream = await server("container", "127.0.0.53", (message, protocol) =>
    protocol === "udp" ? asAnswer(message, 0x0200) : asAnswer(message),
  );
  await start({ servers: [inContainer("127.0.0.53")] });
  expect((await ask({ name: "ex.com", type: A })).flags & 0x0200).toBe(0x0200);
  expect((await ask({ name: "ex.com", type: A }, askByTcp)).flags & 0x0200).toBe(0);
  expect(upstream.seen.map(({ protocol }) => protocol)).toEqual(["udp", "tcp"]);
});

rooted("a thousand addresses: as many as a datagram holds, all of them by TCP", async () => {
  await start();
  const small = await ask({ name: "many", type: A });
  expect(small).toMatchObject({ flags: 0x8380 });
  expect(small.answers.length).toBeWithin(25, 31);
  const edns = await ask({ name: "many", type: A, ednsBytes: 4096 });
  expect(edns.answers.length).toBeWithin(250, 256);
  const all = await ask({ name: "many", type: A }, askByTcp);
  expect(all.flags).toBe(0x8180);
  expect(new Set(all.answers.map(({ data }) => data)).size).toBe(1000);
});

rooted("a big answer of another server comes through whole", async () => {
  await server("container", "127.0.0.53", (message, protocol) =>
    Buffer.concat([asAnswer(message), Buffer.alloc(protocol === "udp" ? 30_000 : 60_000, 7)]),
  );
  await start({ servers: [inContainer("127.0.0.53")] });
  const query = buildQuery({ name: "ex.com", type: TXT });
  expect((await askByUdp(namespaceFd, query)).length).toBe(query.length + 30_000);
  expect((await askByTcp(namespaceFd, query)).length).toBe(query.length + 60_000);
});

rooted("a name without a dot stays here if the container has search domains to try", async () => {
  const upstream = await server("container", "127.0.0.53", (message) => asAnswer(message, NXDOMAIN));
  await start({ servers: [inContainer("127.0.0.53")], keepsSingleLabels: true });
  for (const type of [A, AAAA]) expect(await ask({ name: "nope", type })).toMatchObject({ flags: 0x8180, answers: [] });
  expect(upstream.seen).toEqual([]);
  expect(rcode(await ask({ name: "nope.lab", type: A }))).toBe(NXDOMAIN);
  expect(rcode(await ask({ name: "nope", type: TXT }))).toBe(NXDOMAIN);
});

rooted("many queries by one connection are answered as their answers are ready", async () => {
  await server("container", "127.0.0.53", (message) => asAnswer(message));
  await start({ servers: [inContainer("127.0.0.53")] });
  using connection = await TcpConnection.open(namespaceFd);
  connection.send(buildQuery({ id: 1, name: "ex.com", type: A }));
  for (let id = 2; id <= 500; id++) connection.send(buildQuery({ id, name: "web", type: A }));
  const answers = (await connection.received(500)).map((message) => readMessage(message).id);
  expect(answers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
  expect(answers[0]).toBe(2); // the first has a longer way
});

rooted("queries that come together by TCP do not stop others", async () => {
  await start();
  using many = await TcpConnection.open(namespaceFd);
  using one = await TcpConnection.open(namespaceFd);
  many.send(...Array.from({ length: 1000 }, (_, id) => buildQuery({ id, name: "slow", type: A })));
  await many.received(1);
  one.send(buildQuery({ id: 1, name: "web", type: A }));
  await one.received(1);
  expect(many.messages.length).toBeLessThan(1000);
  expect((await many.received(1000)).map((message) => readMessage(message).id)).toEqual([...Array(1000).keys()]);
});

rooted("a client that has asked all by TCP, and says so, still gets what is due", async () => {
  await server("container", "127.0.0.53", (message) => asAnswer(message));
  await start({ servers: [inContainer("127.0.0.53")] });
  const script = `import socket, struct
s = socket.create_connection(("${RESOLVER_ADDRESS}", ${RESOLVER_PORT}))
q = bytes.fromhex("${Buffer.from(buildQuery({ id: 1, name: "ex.com", type: A })).toString("hex")}")
s.sendall(struct.pack(">H", len(q)) + q)
s.shutdown(socket.SHUT_WR)
b = b""
while True:
    d = s.recv(4096)
    if not d: break
    b += d
print(b.hex())`;
  const stdout = await run("python3", "-c", script);
  const bytes = Buffer.from(stdout.trim(), "hex");
  expect(bytes.readUInt16BE(0)).toBe(bytes.length - 2);
  expect(readMessage(bytes.subarray(2))).toMatchObject({ id: 1, flags: 0x8180 });
});

/** In the container, while this process serves it. */
async function run(...argv: readonly string[]): Promise<string> {
  const child = Bun.spawn(container.inside(...argv), { stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${argv.join(" ")}: ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

const fdCount = () => readdirSync("/proc/self/fd").length;

rooted("more queries at once than the limit are refused at once; all sockets are closed in the end", async () => {
  await server("container", "127.0.0.53", () => undefined);
  const limit = DNS_FORWARDS_MAX;
  for (const protocol of ["udp", "tcp"]) {
    const before = fdCount();
    const resolver = await start({ servers: [inContainer("127.0.0.53")] });
    const queries = Array.from({ length: limit + 20 }, (_, id) => buildQuery({ id, name: "ex.com", type: A }));
    const refused = protocol === "udp" ? floodByUdp(queries, 20) : floodByTcp(queries, 20);
    expect((await refused).map((answer) => rcode(readMessage(answer)))).toEqual(new Array(20).fill(REFUSED));
    expect(fdCount()).toBeGreaterThan(before + limit);
    expect(rcode(await ask({ name: "web", type: A }))).toBe(0); // names of ours are answered meanwhile
    resolver[Symbol.dispose]();
    await until(() => fdCount() <= before, "no more open files than before");
  }
});

rooted("containers that have as many queries under way as they may leave some to the next", async () => {
  await server("host", "127.0.0.53", () => undefined);
  await server("host", "127.0.0.54", (message) => asAnswer(message));
  const queries = Array.from({ length: DNS_FORWARDS_MAX + 1 }, (_, id) => buildQuery({ id, name: "ex.com", type: A }));
  for (let others = 0; others < 5; others++) {
    const other = await NetworkNamespace.create();
    const fd = openSync(other.path, "r");
    const options = { networkNamespace: other.path, names, forwards: true, keepsSingleLabels: false };
    keep(await startResolver({ ...options, servers: [onHost("127.0.0.53")] }));
    const [answer] = await floodByTcp(queries, 1, fd);
    expect(rcode(readMessage(answer!))).toBe(REFUSED);
    closeSync(fd);
    await other[Symbol.asyncDispose]();
  }
  await start({ servers: [onHost("127.0.0.54")] });
  expect(rcode(await ask({ name: "ex.com", type: A }))).toBe(0);
});

/** Sends all from one socket; the first `count` answers. */
async function floodByUdp(queries: readonly Uint8Array[], count: number): Promise<Uint8Array[]> {
  const answers: Uint8Array[] = [];
  const socket = await inNetworkNamespace(namespaceFd, () =>
    Bun.udpSocket({
      connect: { hostname: RESOLVER_ADDRESS, port: RESOLVER_PORT },
      socket: { data: (_socket, message) => void answers.push(new Uint8Array(message)) },
    }),
  );
  // No more at once than the other socket holds.
  for (let at = 0; at < queries.length; at += 50) {
    for (const query of queries.slice(at, at + 50)) socket.send(query);
    await ask({ name: "web", type: A });
  }
  await until(() => answers.length >= count, `${count} answers`);
  socket.close();
  return answers;
}

async function floodByTcp(queries: readonly Uint8Array[], count: number, from = namespaceFd): Promise<Uint8Array[]> {
  using connection = await TcpConnection.open(from);
  connection.send(...queries);
  return await connection.received(count);
}

rooted("a connection that is never made is given up with the query", async () => {
  container.run(
    "nft",
    "table ip filter { chain out { type filter hook output priority 0; ip daddr 127.0.0.54 drop; }; }",
  );
  await start({ servers: [inContainer("127.0.0.54")] });
  const before = fdCount();
  expect(rcode(await ask({ name: "ex.com", type: A }, askByTcp))).toBe(SERVFAIL);
  container.run("nft", "delete", "table", "ip", "filter");
  await until(() => fdCount() <= before, "no more open files than before");
});

rooted("clients that hang up in the middle harm nobody", async () => {
  await server("container", "127.0.0.53", (message) => asAnswer(message));
  await start({ servers: [inContainer("127.0.0.53")] });
  const half = Buffer.from(buildQuery({ name: "web", type: A })).subarray(0, 7);
  for (let count = 0; count < 200; count++) {
    using connection = await TcpConnection.open(namespaceFd);
    if (count % 2 === 0) connection.socket.write(Buffer.concat([Buffer.from([0, 21]), half]));
    else connection.send(buildQuery({ name: "ex.com", type: A }));
  }
  expect(rcode(await ask({ name: "web", type: A }, askByTcp))).toBe(0);
  expect(rcode(await ask({ name: "ex.com", type: A }, askByTcp))).toBe(0);
});

rooted("a client by UDP that is gone before its answer costs no other client an answer", async () => {
  await start();
  const startMs = performance.now();
  for (let count = 0; count < 200; count++) {
    const hasty = inNetworkNamespace(namespaceFd, () =>
      Bun.udpSocket({ connect: { hostname: RESOLVER_ADDRESS, port: RESOLVER_PORT } }),
    );
    const socket = await hasty;
    socket.send(buildQuery({ name: "web", type: A }));
    socket.close();
    expect(rcode(await ask({ name: "web", type: A }))).toBe(0);
  }
  expect(performance.now() - startMs).toBeLessThan(10_000);
});

rooted("a query that may not leave the container goes nowhere, and its socket is closed", async () => {
  container.run(
    "nft",
    "table ip filter { chain out { type filter hook output priority 0; ip daddr 127.0.0.53 reject; }; chain o2 { type filter hook output priority 1; ip daddr 127.0.0.54 drop; }; }",
  );
  const before = fdCount();
  await start({ servers: [inContainer("127.0.0.53"), inContainer("127.0.0.54")] });
  for (const by of [askByUdp, askByTcp]) expect(rcode(await ask({ name: "ex.com", type: A }, by))).toBe(SERVFAIL);
  container.run("nft", "delete", "table", "ip", "filter");
  open.pop()![Symbol.dispose]();
  await until(() => fdCount() <= before, "no more open files than before");
});

rooted("a container that sends without a pause does not stop others, and is answered again afterwards", async () => {
  await start();
  const script = `import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
q = bytes.fromhex("${Buffer.from(buildQuery({ id: 1, name: "slow", type: A })).toString("hex")}")
end = time.monotonic() + 2
while time.monotonic() < end:
    for i in range(100):
        s.sendto(q, ("${RESOLVER_ADDRESS}", ${RESOLVER_PORT}))`;
  await using other = await NetworkNamespace.create();
  const otherFd = openSync(other.path, "r");
  const upstream = { servers: [], forwards: true, keepsSingleLabels: false };
  using _resolver = await startResolver({ networkNamespace: other.path, names, ...upstream });
  let isOver = false;
  const flood = run("python3", "-c", script).finally(() => {
    isOver = true;
  });
  const waitsMs: number[] = [];
  while (!isOver) {
    const startMs = performance.now();
    await askByUdp(otherFd, buildQuery({ name: "web", type: A }));
    waitsMs.push(performance.now() - startMs);
  }
  await flood;
  closeSync(otherFd);
  expect(waitsMs.length).toBeGreaterThan(20);
  expect(Math.max(...waitsMs)).toBeLessThan(1000);
  // The kernel drops a query for as long as the flood's fill the resolver's socket.
  const askBriefly = (fd: number, message: Uint8Array) => askByUdp(fd, message, 500);
  await eventually(async () => expect(rcode(await ask({ name: "web", type: A }, askBriefly))).toBe(0));
});

rooted("a client that does not read is hung up on; one that sends what is no query, too", async () => {
  await start();
  const deaf = `import select, socket, struct
s = socket.create_connection(("${RESOLVER_ADDRESS}", ${RESOLVER_PORT}))
q = bytes.fromhex("${Buffer.from(buildQuery({ id: 1, name: "many", type: A })).toString("hex")}")
s.sendall((struct.pack(">H", len(q)) + q) * 2000)
hangup = select.poll()
hangup.register(s, 0)
print("hung up" if hangup.poll(15000) else "still connected")`;
  expect(await run("python3", "-c", deaf)).toBe("hung up\n");
  using connection = await TcpConnection.open(namespaceFd);
  connection.socket.write(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
  await connection.closed;
  expect(rcode(await ask({ name: "web", type: A }, askByTcp))).toBe(0);
});

rooted("one connection too many is hung up on, and not when another has gone", async () => {
  await start();
  const connections: TcpConnection[] = [];
  for (let count = 0; count < DNS_CONNECTIONS_MAX; count++) connections.push(await TcpConnection.open(namespaceFd));
  const tooMany = await TcpConnection.open(namespaceFd);
  await tooMany.closed;
  connections[0]![Symbol.dispose]();
  await connections[0]!.closed;
  expect(rcode(await ask({ name: "web", type: A }, askByTcp))).toBe(0);
  for (const connection of connections) connection[Symbol.dispose]();
});

rooted("a client that asks nothing for ten seconds is hung up on, one that asks now and then is not", async () => {
  await start();
  const startMs = performance.now();
  using idle = await TcpConnection.open(namespaceFd);
  using busy = await TcpConnection.open(namespaceFd);
  const timer = setInterval(() => busy.send(buildQuery({ name: "web", type: A })), 2000);
  await idle.closed;
  const idleMs = performance.now() - startMs;
  const before = busy.messages.length;
  await busy.received(before + 2);
  clearInterval(timer);
  expect(idleMs).toBeWithin(6000, 20_000);
});

rooted(
  "a second resolver in the same namespace is an error, after which we are at home and nothing is left",
  async () => {
    const home = readlinkSync("/proc/thread-self/ns/net");
    await start();
    const before = fdCount();
    await expect(start()).rejects.toMatchObject({ code: "EADDRINUSE" });
    await until(() => fdCount() <= before, "no more open files than before");
    expect(readlinkSync("/proc/thread-self/ns/net")).toBe(home);
    expect(rcode(await ask({ name: "web", type: A }))).toBe(0);
  },
);

rooted("a namespace that is not there, or is none, is an error", async () => {
  const request = { names, servers: [], forwards: true, keepsSingleLabels: false };
  await expect(startResolver({ networkNamespace: "/proc/1/ns/nothing", ...request })).rejects.toMatchObject({
    code: "ENOENT",
  });
  await expect(startResolver({ networkNamespace: "/proc/self/ns/mnt", ...request })).rejects.toMatchObject({
    code: "kernel",
    detail: { errno: "EINVAL" },
  });
});

/** A program of its own that starts a resolver first of all, says so, then what `then` says. */
async function startElsewhere(then: string) {
  const program = `
    import { readdirSync, readlinkSync } from "node:fs";
    import { startResolver } from "${join(import.meta.dirname, "../../src/network/dns/mod.ts")}";
    const names = { lookup: () => ({ ipv4: ["172.18.0.2"], ipv6: [] }), reverse: () => undefined };
    const servers = [{ address: "127.0.0.99", fromHost: false }];
    const resolver = await startResolver({ networkNamespace: process.argv[2], names, servers, forwards: true, keepsSingleLabels: false });
    console.log("started");
    ${then}`;
  const directory = mkdtempSync(join(tmpdir(), "lighter-dns-"));
  writeFileSync(join(directory, "main.ts"), program);
  const argv = [process.execPath, join(directory, "main.ts"), container.path];
  const child = Bun.spawn(argv, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const remove = () => rmSync(directory, { recursive: true });
  return { child, remove };
}

rooted("no thread of the process is ever in the container's namespace, not even those that start later", async () => {
  const { child, remove } = await startElsewhere(`
    import { lookup } from "node:dns/promises";
    import { readFile } from "node:fs/promises";
    const wherever = () => new Set(readdirSync("/proc/self/task").map((task) => readlinkSync(\`/proc/self/task/\${task}/ns/net\`)));
    const first = [...wherever()];
    await Promise.all([lookup("localhost"), ...Array.from({ length: 16 }, () => readFile("/proc/self/stat"))]);
    const { Worker } = await import("node:worker_threads");
    const worker = new Worker("setInterval(() => {}, 1000)", { eval: true });
    await new Promise((resolve) => worker.once("online", resolve));
    console.log(JSON.stringify({ first, later: [...wherever()], count: readdirSync("/proc/self/task").length }));
    process.exit(0);`);
  const said = await child.stdout.text();
  remove();
  const { first, later, count } = JSON.parse(said.split("\n")[1]!);
  const home = readlinkSync("/proc/thread-self/ns/net");
  expect({ first, later }).toEqual({ first: [home], later: [home] });
  expect(count).toBeGreaterThan(2);
});

rooted("after kill -9, with clients connected, the next resolver is there at once", async () => {
  const { child, remove } = await startElsewhere("");
  const reader = child.stdout.getReader();
  expect(Buffer.from((await reader.read()).value!).toString()).toBe("started\n");
  using connection = await TcpConnection.open(namespaceFd);
  connection.send(buildQuery({ name: "web", type: A }));
  await connection.received(1);
  child.kill("SIGKILL");
  await child.exited;
  await connection.closed;
  remove();
  await start();
  for (const by of [askByUdp, askByTcp]) expect(rcode(await ask({ name: "web", type: A }, by))).toBe(0);
});

/** Clients that know nothing of us: by way of port 53 of /etc/resolv.conf. */
async function asContainer(resolvConf: string, ...argv: readonly string[]): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "lighter-dns-"));
  const path = join(directory, "resolv.conf");
  writeFileSync(path, resolvConf);
  try {
    const script = `mount --bind ${path} /etc/resolv.conf && exec "$@"`;
    return await run("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", ...argv);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const REDIRECTION = `table ip lighter-resolver {
  chain output {
    type nat hook output priority dstnat
    ip daddr ${RESOLVER_ADDRESS} udp dport 53 dnat to ${RESOLVER_ADDRESS}:${RESOLVER_PORT}
    ip daddr ${RESOLVER_ADDRESS} tcp dport 53 dnat to ${RESOLVER_ADDRESS}:${RESOLVER_PORT}
  }
}`;

const redirections = {
  "nft's": () => void container.run("nft", REDIRECTION),
  ours: () =>
    inNetworkNamespace(namespaceFd, () => {
      using netlink = new NetlinkSocket(NETLINK.NETFILTER);
      netlink.request(resolverRedirect(RESOLVER_PORT), "redirecting queries");
    }),
};

for (const [whose, redirect] of Object.entries(redirections))
  rootedWith("busybox")(
    `glibc and busybox find names by way of 127.0.0.11:53, which ${whose} rules lead to us; port 53 is the container's own`,
    async () => {
      const own = await server("container", "0.0.0.0", (message) => asAnswer(message, REFUSED));
      await server("host", "127.0.0.53", (message) => asAnswer(message, NXDOMAIN));
      await start({ servers: [onHost("127.0.0.53")] });
      redirect();
      const resolvConf = `nameserver ${RESOLVER_ADDRESS}\nsearch lab.example\noptions ndots:0\n`;
      const getent = (...args: string[]) => asContainer(resolvConf, "getent", ...args);
      expect(await getent("hosts", "web")).toMatch(/^172\.18\.0\.2\s+web\n$/);
      expect(await getent("hosts", "six")).toMatch(/^fd00::3\s+six\n$/);
      expect(await getent("hosts", "172.18.0.2")).toMatch(/^172\.18\.0\.2\s+web\.backend\n$/);
      expect(await getent("ahosts", "web.backend")).toMatch(/^172\.18\.0\.2\s+STREAM web\.backend\n/);
      // By UDP it is cut off, so glibc asks by TCP.
      expect(new Set((await getent("ahosts", "many")).match(/^[\d.]+/gm)).size).toBe(1000);
      await expect(getent("hosts", "nope")).rejects.toThrow("ended with 2");
      // It tries search domains before the name itself.
      const looked = await asContainer(`nameserver ${RESOLVER_ADDRESS}\n`, "busybox", "nslookup", "web");
      expect(looked).toContain(`Server:\t\t${RESOLVER_ADDRESS}\n`);
      expect(looked).toContain("Name:\tweb\nAddress: 172.18.0.2\n");
      expect(own.seen).toEqual([]);
      container.run("nft", "delete", "table", "ip", "lighter-resolver");
    },
  );
