/**
 * Compares the lookup of containers' names at 127.0.0.11:53 with Docker's, interleaved in one run.
 *
 *   lookup     an address of a container, one query after the other
 *   forwarded  a name that another server has; the server is in the container itself and answers at once
 *   rate       as many lookups as there are answers, with 64 under way
 *
 *   bun bench/cases/dns.ts [--alone] [--runs 3000] [--save bench/baselines/NAME.json]
 *
 * `--alone` measures without Docker. With both engines a `dnat` in the container's nftables leads to the resolver. Needs root;
 * dockerd is a private one in its own network namespace. What dominates is in dns.md, beside this file.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { NetlinkSocket } from "../../src/linux/netlink/mod.ts";
import { resolverRedirect } from "../../src/linux/nftables/mod.ts";
import {
  closeNetworkNamespace,
  inNetworkNamespace,
  openNetworkNamespace,
} from "../../src/linux/sys/network-namespace.ts";
import { NameTable, RESOLVER_PORT, startResolver } from "../../src/network/dns/mod.ts";
import { PrivateDocker } from "../../tests/compat/cli-support.ts";
import { NetworkNamespace } from "../../tests/support/network-namespace.ts";
import { run } from "../support/commands.ts";
import { saveBaseline } from "../support/save.ts";
import { type Summary, summarize } from "../support/stats.ts";

const ROUNDS = 5;
const UNDER_WAY = 64;
const RATE_MS = 2000;
/** The number of other names in the network. */
const CONTAINERS = 100;
const SERVER = "127.0.0.53";
/** The goals: the time of a lookup, and its ratio to Docker's. */
const GOALS = { lookupP99Ms: 0.3, ratio: 1 };

interface Results {
  lookup: Summary;
  forwarded: Summary;
  perSecond: number;
}

/** A container of either engine, by its network namespace. */
interface Contender {
  name: string;
  networkNamespace: string;
  stop(): Promise<void>;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      alone: { type: "boolean", default: false },
      runs: { type: "string", default: "3000" },
      save: { type: "string" },
    },
    allowPositionals: true,
  });
  if (positionals[0] === "resolver") return serve(positionals[1]!);
  if (positionals[0] === "client") return console.log(JSON.stringify(await measureHere(Number(values.runs))));
  const contenders = [await startOurs()];
  try {
    if (!values.alone) contenders.push(await startDockers());
    const results = measure(contenders, Number(values.runs));
    for (const [name, each] of Object.entries(results)) report(name, each);
    const [ours, dockers] = Object.values(results);
    check("p99 of our lookups", ours!.lookup.p99Ms, GOALS.lookupP99Ms, " ms");
    if (dockers !== undefined) {
      check("lookup, ours / Docker's", ours!.lookup.p50Ms / dockers.lookup.p50Ms, GOALS.ratio);
      check("forwarded, ours / Docker's", ours!.forwarded.p50Ms / dockers.forwarded.p50Ms, GOALS.ratio);
      check("rate, Docker's / ours", dockers.perSecond / ours!.perSecond, GOALS.ratio);
    }
    if (values.save) saveBaseline(values.save, results);
  } finally {
    for (const contender of contenders) await contender.stop();
  }
}

/** The command that runs a part of this program as another process. */
function part(...args: readonly string[]): string[] {
  return [process.execPath, import.meta.path, ...args];
}

async function startOurs(): Promise<Contender> {
  const container = await NetworkNamespace.create();
  const [command = "", ...args] = part("resolver", container.path);
  const resolver = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  await once(resolver.stdout, "data");
  return {
    name: "lighter",
    networkNamespace: container.path,
    stop: async () => {
      resolver.stdin.end();
      await once(resolver, "exit");
      await container[Symbol.asyncDispose]();
    },
  };
}

/** Serves until standard input ends. */
async function serve(networkNamespace: string): Promise<void> {
  const namespaceFd = openNetworkNamespace(networkNamespace);
  inNetworkNamespace(namespaceFd, () => {
    using netlink = new NetlinkSocket(12);
    netlink.request(resolverRedirect(RESOLVER_PORT), "redirecting queries");
  });
  closeNetworkNamespace(namespaceFd);
  const table = new NameTable();
  for (let index = 0; index < CONTAINERS; index++)
    table.add({
      ...{ endpointId: `e${index}`, containerId: `c${index}`, networkId: "n", networkName: "backend" },
      ...{ names: index === 1 ? ["web"] : [`container-${index}`], ipv4: `172.18.0.${index + 2}` },
    });
  const upstream = { servers: [{ address: SERVER, fromHost: false }], forwards: true, keepsSingleLabels: false };
  using _resolver = await startResolver({ networkNamespace, names: table.view("c0"), ...upstream });
  console.log("ready");
  await once(process.stdin.resume(), "end");
}

async function startDockers(): Promise<Contender> {
  const docker = await PrivateDocker.start([], { networks: true });
  const runs = async (...args: string[]) => {
    const { code, stdout, stderr } = await docker.docker(args);
    if (code !== 0) throw new Error(stderr);
    return stdout.trim();
  };
  await runs("network", "create", "backend");
  await runs("run", "-d", "--name", "web", "--network", "backend", "busybox", "sleep", "10000");
  await runs("run", "-d", "--name", "client", "--network", "backend", "--dns", SERVER, "busybox", "sleep", "10000");
  const pid = await runs("inspect", "-f", "{{.State.Pid}}", "client");
  return { name: "docker", networkNamespace: `/proc/${pid}/ns/net`, stop: () => docker.stop() };
}

/** Measures the contenders in turns; reports the best round of each, which the machine disturbed least. */
function measure(contenders: readonly Contender[], runs: number): Record<string, Results> {
  const best: Record<string, Results> = {};
  for (let round = 0; round < ROUNDS; round++)
    for (const { name, networkNamespace } of contenders) {
      const client = part("--runs", `${runs}`, "client");
      const results: Results = JSON.parse(run(["nsenter", `--net=${networkNamespace}`, "--", ...client]));
      const before = best[name];
      best[name] =
        before === undefined
          ? results
          : {
              lookup: better(before.lookup, results.lookup),
              forwarded: better(before.forwarded, results.forwarded),
              perSecond: Math.max(before.perSecond, results.perSecond),
            };
    }
  return best;
}

function better(a: Summary, b: Summary): Summary {
  return a.p50Ms < b.p50Ms ? a : b;
}

async function measureHere(runs: number): Promise<Results> {
  const server = await Bun.udpSocket({
    hostname: SERVER,
    port: 53,
    socket: {
      data: (socket, message, port, address) => {
        message[2]! |= 0x80;
        socket.send(message, port, address);
      },
    },
  });
  const client = await Client.open();
  const warmUp = Math.ceil(runs / 10);
  await client.oneByOne("web", warmUp);
  const lookup = summarize(await client.oneByOne("web", runs));
  await client.oneByOne("ex.com", warmUp);
  const forwarded = summarize(await client.oneByOne("ex.com", runs));
  const perSecond = await client.rate("web");
  client.close();
  server.close();
  return { lookup, forwarded, perSecond };
}

class Client {
  #onAnswer = (_id: number) => {};

  private constructor(readonly socket: Bun.udp.ConnectedSocket<"buffer">) {}

  static async open(): Promise<Client> {
    const socket = await Bun.udpSocket({
      connect: { hostname: "127.0.0.11", port: 53 },
      socket: { data: (_socket, message) => client.#onAnswer((message[0]! << 8) | message[1]!) },
    });
    const client = new Client(socket);
    return client;
  }

  #ask(name: string, id: number): void {
    const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
    const head = Buffer.of(id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0);
    this.socket.send(Buffer.concat([head, ...labels, Buffer.of(0, 0, 1, 0, 1)]));
  }

  /** Measures the milliseconds of each lookup. */
  async oneByOne(name: string, count: number): Promise<number[]> {
    const samplesMs: number[] = [];
    for (let id = 0; id < count; id++) {
      const startMs = performance.now();
      await new Promise<void>((resolve) => {
        this.#onAnswer = (answered) => {
          if (answered === (id & 0xffff)) resolve();
        };
        this.#ask(name, id & 0xffff);
      });
      samplesMs.push(performance.now() - startMs);
    }
    return samplesMs;
  }

  /** Measures the answers a second. */
  async rate(name: string): Promise<number> {
    let answers = 0;
    const startMs = performance.now();
    await new Promise<void>((resolve) => {
      this.#onAnswer = (id) => {
        answers++;
        if (performance.now() - startMs < RATE_MS) this.#ask(name, id);
        else resolve();
      };
      for (let id = 0; id < UNDER_WAY; id++) this.#ask(name, id);
    });
    return answers / ((performance.now() - startMs) / 1000);
  }

  close(): void {
    this.socket.close();
  }
}

function report(name: string, { lookup, forwarded, perSecond }: Results): void {
  const ms = (value: number) => `${value.toFixed(3)} ms`;
  const line = ({ p50Ms, p99Ms }: Summary) => `p50 ${ms(p50Ms)}  p99 ${ms(p99Ms)}`;
  console.log(`${name.padEnd(8)} lookup ${line(lookup)}   forwarded ${line(forwarded)}   ${Math.round(perSecond)}/s`);
}

function check(what: string, value: number, goal: number, unit = ""): void {
  console.log(`${what}: ${value.toFixed(3)}${unit}, goal ≤ ${goal}${unit} ${value <= goal ? "met" : "MISSED"}`);
}

await main();
