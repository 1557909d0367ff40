/**
 * Compares networks with Docker's, interleaved in one run, with each daemon in its own network namespace:
 *
 *   run         `run --rm` of /bin/true, CLI to CLI: on the default bridge, a user-defined one, with a port, without a network
 *   together    50 of them, started together
 *   throughput  TCP from container to container, and from a neighbour of the host and the host itself through a published port
 *   create      a network that is created and removed
 *   ports       a container's start with 200 published ports; a connection through the last of them and through an only one
 *
 *   bun bench/cases/networks.ts [--only run,ports] [--runs 30] [--save bench/baselines/NAME.json]
 *
 * What dominates is in networks.md, beside this file. Needs root. Docker, iptables and other needed programs come from Debian's
 * packages.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Api } from "../support/api.ts";
import { run, timeMs, timeTogetherMs } from "../support/commands.ts";
import {
  type Engine,
  eachEngine,
  ensurePackages,
  IMAGE,
  loadBusybox,
  makeWorkFolder,
  startDocker,
  startLighter,
} from "../support/engines.ts";
import { saveBaseline } from "../support/save.ts";
import { formatSummary, type Summary, summarize } from "../support/stats.ts";

const TOGETHER = 50;
const ROUNDS = 3;
/** The number of rounds, many and short: the machine's speed changes from second to second. */
const IPERF_ROUNDS = 11;
const IPERF_SECONDS = 1;
const PORTS = 200;
const CONNECTIONS = 300;
const WARM_UP = 3;
/** The addresses of the host and of its neighbour on the link between them. */
const HOST_ADDRESS = "192.0.2.1";
const NEIGHBOUR_ADDRESS = "192.0.2.2";
const support = join(import.meta.dirname, "../support");

interface Contender {
  engine: Engine;
  api: Api;
  /** A process in the network namespace of the daemon's neighbour, which is outside of the host. */
  neighbourPid: number;
}

interface Context {
  contenders: readonly Contender[];
  runs: number;
}

/** The packages that a measurement needs in addition to both engines. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = { throughput: ["iperf3"], ports: ["python3"] };

const measures: Record<string, (context: Context) => Promise<object>> = {
  async run({ contenders, runs }) {
    await eachEngine(contenders, ({ api }) => api.request("POST", "/networks/create", { Name: "bench" }));
    const cases: Record<string, readonly string[]> = {
      "on the default bridge": [],
      "on a user-defined bridge": ["--network", "bench"],
      "with a published port": ["-p", "18080:80"],
      "without a network": ["--network", "none"],
    };
    const all: Record<string, object> = {};
    for (const [title, flags] of Object.entries(cases)) {
      const results = await interleave(contenders, runs, async ({ engine }) =>
        timeMs([...engine.cli, "run", "--rm", ...flags, IMAGE, "/bin/true"], engine.env),
      );
      all[title] = report(`run --rm of /bin/true ${title}`, results, 1 / 10);
    }
    await eachEngine(contenders, ({ api }) => api.request("DELETE", "/networks/bench"));
    return all;
  },

  async together({ contenders }) {
    const results = await interleave(contenders, ROUNDS, ({ engine }) =>
      timeTogetherMs(TOGETHER, [...engine.cli, "run", "--rm", IMAGE, "/bin/true"], engine.env),
    );
    return report(`${TOGETHER} × run --rm of /bin/true on the default bridge, started together`, results, 1 / 8);
  },

  async throughput({ contenders }) {
    const sides = await eachEngine(contenders, async (contender) => {
      const server = await startSleeper(contender, publish([5201]));
      const client = await startSleeper(contender, {});
      return { server, client, iperf: await startServer(server.pid, "iperf3", ["-s", "--forceflush"]) };
    });
    const paths: [string, (contender: Contender) => [number, string]][] = [
      ["container to container", (c) => [sides[c.engine.name]!.client.pid, sides[c.engine.name]!.server.address]],
      ["neighbour to a published port", ({ neighbourPid }) => [neighbourPid, HOST_ADDRESS]],
      ["host to a published port, at its address", ({ engine }) => [engine.daemonPids()[0]!, HOST_ADDRESS]],
      ["host to a published port, at 127.0.0.1", ({ engine }) => [engine.daemonPids()[0]!, "127.0.0.1"]],
    ];
    const all: Record<string, object> = {};
    for (const [title, from] of paths) {
      const results = await interleave(contenders, IPERF_ROUNDS, async (contender) => {
        const [pid, address] = from(contender);
        const output = inNetworkOf(pid, ["iperf3", "-c", address, "-t", `${IPERF_SECONDS}`, "-J"]);
        return JSON.parse(output).end.sum_received.bits_per_second / 1e9;
      });
      all[title] = reportRate(`TCP, ${title}`, results);
    }
    for (const { iperf } of Object.values(sides)) iperf.kill("SIGKILL");
    await eachEngine(contenders, async (c) => {
      const { server, client } = sides[c.engine.name]!;
      await Promise.all([c.api.remove(server.id), c.api.remove(client.id)]);
    });
    return all;
  },

  async create({ contenders, runs }) {
    const results = await interleave(contenders, runs, async ({ api }) => {
      const began = performance.now();
      await api.request("POST", "/networks/create", { Name: "short" });
      await api.request("DELETE", "/networks/short");
      return performance.now() - began;
    });
    return report("network create and rm, API", results, 1 / 4);
  },

  async ports({ contenders, runs }) {
    const many = Array.from({ length: PORTS }, (_, index) => 20_000 + index);
    const starts = await interleave(contenders, Math.min(runs, 5), async (contender) => {
      const { Id } = await contender.api.request("POST", "/containers/create", sleeperBody(publish(many)));
      const began = performance.now();
      await contender.api.request("POST", `/containers/${Id}/start`);
      const ms = performance.now() - began;
      await contender.api.remove(Id);
      return ms;
    });
    const start = report(`start with ${PORTS} published ports, API`, starts, 1);
    const latencies: Record<string, object> = {};
    for (const ports of [[20_000], many]) {
      const last = ports.at(-1)!;
      const title = `connection from a neighbour through ${ports.length === 1 ? "an only" : `the last of ${PORTS}`} port`;
      const samples = await eachEngine(contenders, async (contender) => {
        const server = await startSleeper(contender, publish(ports));
        const echo = await startServer(server.pid, "python3", [join(support, "echo.py"), `${last}`]);
        const client = ["python3", join(support, "connect-latency.py"), HOST_ADDRESS, `${last}`, `${CONNECTIONS}`];
        const latencyMs = numbers(inNetworkOf(contender.neighbourPid, client));
        echo.kill("SIGKILL");
        await contender.api.remove(server.id);
        return summarize(latencyMs);
      });
      latencies[title] = report(title, samples, 1);
    }
    return { start, latencies };
  },
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: Object.keys(measures).join(",") },
      runs: { type: "string", default: "30" },
      save: { type: "string" },
    },
  });
  const names = values.only.split(",");
  for (const name of names) if (!Object.hasOwn(measures, name)) throw new Error(`there is no measure "${name}"`);
  ensurePackages("docker.io", "docker-cli", "iptables", "iproute2", ...names.flatMap((name) => PACKAGES[name] ?? []));
  const folder = makeWorkFolder();
  const contenders: Contender[] = [];
  try {
    for (const start of [startDocker, startLighter]) {
      const engine = await start(folder.path, { networks: true });
      contenders.push({ engine, api: new Api(join(folder.path, `${engine.name}.sock`)), neighbourPid: 0 });
    }
    loadBusybox(folder.path, contenders[0]!.engine, contenders[1]!.engine);
    for (const contender of contenders) contender.neighbourPid = makeNeighbour(contender.engine.daemonPids()[0]!);
    const results: Record<string, object> = {};
    for (const name of names) results[name] = await measures[name]!({ contenders, runs: Number(values.runs) });
    if (values.save) saveBaseline(values.save, results);
  } catch (error) {
    console.error(error); // the following measurements may fail because of it
    throw error;
  } finally {
    for (const { neighbourPid } of contenders) if (neighbourPid > 0) process.kill(neighbourPid, "SIGKILL");
    for (const { engine } of contenders) await engine.stop();
    folder.remove();
  }
}

/** Links a new network namespace to that of `hostPid`. Returns a process that keeps the namespace. */
function makeNeighbour(hostPid: number): number {
  const neighbour = spawn("unshare", ["--net", "sleep", "infinity"], { stdio: "ignore" });
  const pid = neighbour.pid ?? 0;
  const own = () => run(["readlink", "/proc/self/ns/net"]);
  while (run(["readlink", `/proc/${pid}/ns/net`]) === own()); // waits until unshare(1) has made the namespace
  inNetworkOf(hostPid, ["ip", "link", "add", "outside", "type", "veth", "peer", "name", "host", "netns", `${pid}`]);
  for (const [at, link, address] of [
    [hostPid, "outside", HOST_ADDRESS],
    [pid, "host", NEIGHBOUR_ADDRESS],
  ] as const) {
    inNetworkOf(at, ["ip", "address", "add", `${address}/24`, "dev", link]);
    inNetworkOf(at, ["ip", "link", "set", link, "up"]);
  }
  return pid;
}

function inNetworkOf(pid: number, argv: readonly string[]): string {
  return run(["nsenter", "-t", `${pid}`, "-n", ...argv]);
}

/**
 * Starts a server in the network of `pid`; resolves when it has printed that it listens. Its later output is read and discarded.
 */
async function startServer(pid: number, program: string, args: readonly string[]): Promise<ChildProcess> {
  const server = spawn("nsenter", ["-t", `${pid}`, "-n", program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const listening = Promise.withResolvers<void>();
  createInterface({ input: server.stdout! }).on("line", (line) => {
    if (/listening/i.test(line)) listening.resolve();
  });
  server.once("exit", (code) => listening.reject(new Error(`${program} ended with ${code}`)));
  await listening.promise;
  return server;
}

interface Sleeper {
  id: string;
  pid: number;
  /** The container's address on its only network. */
  address: string;
}

function sleeperBody(body: object): object {
  return { Image: IMAGE, Cmd: ["/bin/sleep", "1000"], ...body };
}

async function startSleeper({ api }: Contender, body: object, name?: string): Promise<Sleeper> {
  const query = name === undefined ? "" : `?name=${name}`;
  const { Id } = await api.request("POST", `/containers/create${query}`, sleeperBody(body));
  await api.request("POST", `/containers/${Id}/start`);
  const { State, NetworkSettings } = await api.request("GET", `/containers/${Id}/json`);
  const [network] = Object.values(NetworkSettings.Networks) as { IPAddress: string }[];
  return { id: Id, pid: State.Pid, address: network!.IPAddress };
}

/** The part of a create body that publishes TCP ports under their own numbers. */
function publish(ports: readonly number[]): object {
  const each = <T>(what: (port: number) => T) => Object.fromEntries(ports.map((port) => [`${port}/tcp`, what(port)]));
  return { ExposedPorts: each(() => ({})), HostConfig: { PortBindings: each((port) => [{ HostPort: `${port}` }]) } };
}

function numbers(text: string): number[] {
  return text.trim().split("\n").map(Number);
}

/** Measures the contenders in turns by what `sample` returns: the one that went first goes last the next time. */
async function interleave(
  contenders: readonly Contender[],
  runs: number,
  sample: (contender: Contender) => Promise<number>,
): Promise<Record<string, Summary>> {
  const samples = Object.fromEntries(contenders.map(({ engine }) => [engine.name, [] as number[]]));
  for (let i = -Math.min(WARM_UP, runs - 1); i < runs; i++)
    for (const contender of i % 2 === 0 ? contenders : contenders.toReversed()) {
      const value = await sample(contender);
      if (i >= 0) samples[contender.engine.name]!.push(value);
    }
  return Object.fromEntries(Object.entries(samples).map(([name, values]) => [name, summarize(values)]));
}

function report(title: string, results: Record<string, Summary>, goal: number): object {
  console.log(title);
  for (const [name, summary] of Object.entries(results)) console.log(`  ${name.padEnd(8)} ${formatSummary(summary)}`);
  const ratio = results.lighter!.p50Ms / results.docker!.p50Ms;
  const verdict = ratio <= goal ? "met" : "MISSED";
  console.log(`  lighter / docker = ${ratio.toFixed(3)} (1/${(1 / ratio).toFixed(1)}), goal ≤ ${goal} ${verdict}`);
  return { ...results, ratio };
}

function reportRate(title: string, results: Record<string, Summary>): object {
  console.log(title);
  const rates = Object.fromEntries(Object.entries(results).map(([name, { p50Ms }]) => [name, p50Ms]));
  for (const [name, rate] of Object.entries(rates)) console.log(`  ${name.padEnd(8)} ${rate.toFixed(2)} Gbit/s`);
  const ratio = rates.lighter! / rates.docker!;
  console.log(`  lighter / docker = ${ratio.toFixed(3)}, goal ≥ 1 ${ratio >= 1 ? "met" : "MISSED"}`);
  return { gigabitsPerSecond: rates, ratio };
}

await main();
