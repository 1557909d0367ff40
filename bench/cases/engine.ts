/**
 * Compares the engine with Docker's, interleaved in one run and mostly through the API:
 *
 *   create   create, start, wait and remove of /bin/true
 *   exec     /bin/true in a running container
 *   ps       the list of 200 containers, through the API and from the command line
 *   logs     a million lines of a container's log
 *   attach   100 MB from a container to a client, logged as by default, and not logged
 *   stats    CPU time of the engine while 50 containers' stats are streamed
 *   memory   resident, with 200 idle containers: daemons and what stays with each container
 *
 *   bun bench/cases/engine.ts [--only create,exec] [--runs 30] [--save bench/baselines/NAME.json]
 *
 * What dominates is in engine.md, beside this file. Needs root. Docker comes from Debian's docker.io. Both daemons are private
 * ones with their own directories.
 */
import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Api } from "../support/api.ts";
import { timeMs } from "../support/commands.ts";
import {
  type Engine,
  eachEngine,
  ensurePackages,
  IMAGE,
  loadBusybox,
  makeWorkFolder,
  proportionalKib,
  residentKib,
  startDocker,
  startLighter,
} from "../support/engines.ts";
import { saveBaseline } from "../support/save.ts";
import { formatSummary, type Summary, summarize } from "../support/stats.ts";

const LISTED = 200;
const LOG_LINES = 1_000_000;
const LINE = "the quick brown fox jumps over the lazy dog";
const ATTACH_BYTES = 100_000_000;
const STATS_CONTAINERS = 50;
const STATS_SECONDS = 10;
/** The number of runs for measurements that take seconds. */
const LONG_RUNS = 5;
const WARM_UP = 3;

interface Contender {
  engine: Engine;
  api: Api;
  /** The pids of the daemons and of the processes that stay with each container. */
  pids(): number[];
}

interface Context {
  contenders: readonly Contender[];
  runs: number;
}

/** Results by contender. */
type Results = Record<string, Summary>;

const measures: Record<string, (context: Context) => Promise<object>> = {
  async create({ contenders, runs }) {
    const results = await interleave(contenders, runs, async ({ api }) => {
      const id = await api.run({ Image: IMAGE, Cmd: ["/bin/true"] });
      await api.request("POST", `/containers/${id}/wait`);
      await api.remove(id);
    });
    return report("create, start, wait and remove of /bin/true, API", results, 1 / 10);
  },

  async exec({ contenders, runs }) {
    const ids = await eachEngine(contenders, ({ api }) => api.run({ Image: IMAGE, Cmd: ["/bin/sleep", "1000"] }));
    const results = await interleave(contenders, runs, async ({ engine, api }) => {
      const body = { Cmd: ["/bin/true"], AttachStdout: true, AttachStderr: true };
      const { Id } = await api.request("POST", `/containers/${ids[engine.name]}/exec`, body);
      await api.stream("POST", `/exec/${Id}/start`, { upgrade: true, body: {} }).ended;
      const { ExitCode } = await api.request("GET", `/exec/${Id}/json`);
      if (ExitCode !== 0) throw new Error(`exec ended with ${ExitCode}`);
    });
    await eachEngine(contenders, ({ engine, api }) => api.remove(ids[engine.name]!));
    return report("exec of /bin/true, API: create, start, output to its end, inspect", results, 1 / 5);
  },

  async ps({ contenders, runs }) {
    const ids = await eachEngine(contenders, ({ api }) => startMany(api, LISTED));
    const api = await interleave(contenders, runs, async (contender) => {
      const list = await contender.api.request("GET", "/containers/json?all=1");
      if (list.length !== LISTED) throw new Error(`${list.length} containers are listed`);
    });
    const cli = await interleave(contenders, runs, async ({ engine }, sample) => {
      sample(timeMs([...engine.cli, "ps", "-a"], engine.env));
    });
    await eachEngine(contenders, ({ engine, api }) => removeMany(api, ids[engine.name]!));
    return {
      api: report(`list of ${LISTED} containers, API`, api, 1 / 2),
      cli: report(`ps -a with ${LISTED} containers, CLI`, cli, 1),
    };
  },

  async logs({ contenders }) {
    const ids = await eachEngine(contenders, async ({ api }) => {
      const id = await api.run({
        Image: IMAGE,
        Cmd: ["/bin/sh", "-c", `busybox yes "${LINE}" | busybox head -n ${LOG_LINES}`],
        HostConfig: { LogConfig: { Type: "json-file", Config: { "max-size": "1g" } } }, // Lighter's default keeps less
      });
      await api.request("POST", `/containers/${id}/wait`);
      return id;
    });
    const results = await interleave(contenders, LONG_RUNS, async ({ engine, api }) => {
      const bytes = await api.stream("GET", `/containers/${ids[engine.name]}/logs?stdout=1`).ended;
      if (bytes < LOG_LINES * (LINE.length + 9)) throw new Error(`${bytes} bytes are too few, of ${engine.name}`);
    });
    await eachEngine(contenders, ({ engine, api }) => api.remove(ids[engine.name]!));
    return report(`logs of ${LOG_LINES} lines, API`, results, 1 / 2);
  },

  async attach({ contenders }) {
    const throughput = (type: string) =>
      interleave(contenders, LONG_RUNS, async ({ api }, sample) => {
        // The text comes from a file in large pieces, so that making it is not what is measured.
        const text = `busybox yes "${LINE}" | busybox head -c ${ATTACH_BYTES} > /text`;
        const script = `${text}; echo ready; read go; exec busybox dd if=/text bs=32k 2>/dev/null`;
        const HostConfig = { LogConfig: { Type: type } };
        const id = await api.create({ Image: IMAGE, Cmd: ["/bin/sh", "-c", script], OpenStdin: true, HostConfig });
        const output = api.stream("POST", `/containers/${id}/attach?stream=1&stdout=1`, { upgrade: true });
        const input = api.stream("POST", `/containers/${id}/attach?stream=1&stdin=1`, { upgrade: true });
        await Promise.all([output.opened, input.opened]);
        await api.request("POST", `/containers/${id}/start`);
        await output.began;
        const started = performance.now();
        input.write("\n");
        const bytes = await output.ended;
        sample(performance.now() - started);
        if (bytes < ATTACH_BYTES) throw new Error(`${bytes} bytes are too few`);
        input.close();
        await api.remove(id);
      });
    return {
      logged: report(`attach, ${ATTACH_BYTES / 1e6} MB, logged`, await throughput("json-file"), 1 / 2),
      unlogged: report(`attach, ${ATTACH_BYTES / 1e6} MB, not logged`, await throughput("none"), 1 / 2),
    };
  },

  async stats({ contenders }) {
    const cpu: Record<string, number> = {};
    for (const contender of contenders) {
      const { engine, api } = contender;
      const ids = await startMany(api, STATS_CONTAINERS);
      const streams = ids.map((id) => api.stream("GET", `/containers/${id}/stats`));
      await Promise.all(streams.map(({ opened }) => opened));
      const before = cpuSeconds(contender.pids());
      await Bun.sleep(STATS_SECONDS * 1000);
      cpu[engine.name] = (cpuSeconds(contender.pids()) - before) / STATS_SECONDS;
      for (const stream of streams) stream.close();
      await removeMany(api, ids);
    }
    return compare(`stats of ${STATS_CONTAINERS} containers, CPU seconds per second`, cpu, 1 / 4);
  },

  async memory({ contenders }) {
    const ids = await eachEngine(contenders, ({ api }) => startMany(api, LISTED));
    const sum = (contender: Contender, size: (pid: number) => number) =>
      contender.pids().reduce((total, pid) => total + size(pid), 0) / 1024;
    const resident = await eachEngine(contenders, async (contender) => sum(contender, residentKib));
    const proportional = await eachEngine(contenders, async (contender) => sum(contender, proportionalKib));
    await eachEngine(contenders, ({ engine, api }) => removeMany(api, ids[engine.name]!));
    return {
      residentMib: compare(`resident MiB with ${LISTED} idle containers`, resident, 1 / 5),
      proportionalMib: compare("the same, shared pages divided among those who share them", proportional, 1 / 5),
    };
  },
};

async function main(): Promise<void> {
  const options = {
    only: { type: "string" },
    runs: { type: "string", default: "30" },
    save: { type: "string" },
  } as const;
  const { values } = parseArgs({ options });
  const names = values.only?.split(",") ?? Object.keys(measures);
  for (const name of names) if (!Object.hasOwn(measures, name)) throw new Error(`no measure "${name}"`);
  ensurePackages("docker.io", "docker-cli");
  const folder = makeWorkFolder();
  const engines: Engine[] = [];
  try {
    const docker = await startDocker(folder.path);
    engines.push(docker);
    const lighter = await startLighter(folder.path);
    engines.push(lighter);
    loadBusybox(folder.path, docker, lighter);
    const contenders = [
      contender(docker, docker.env.DOCKER_HOST!, () => shimsOf(folder.path)),
      contender(lighter, lighter.env.LIGHTER_HOST!, () => lighter.childPids()),
    ];
    const results: Record<string, object> = {};
    for (const name of names) results[name] = await measures[name]!({ contenders, runs: Number(values.runs) });
    for (const { api } of contenders) api.close();
    if (values.save) saveBaseline(values.save, results);
  } finally {
    for (const engine of engines) await engine.stop();
    folder.remove();
  }
}

function contender(engine: Engine, host: string, keepers: () => number[]): Contender {
  const api = new Api(host.replace("unix://", ""));
  return { engine, api, pids: () => [...engine.daemonPids(), ...keepers()] };
}

/**
 * The pids of containerd's shims. They have no parent in the engine, but their arguments name the socket of the containerd below
 * `folder`.
 */
function shimsOf(folder: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const command = readOrEmpty(`/proc/${pid}/cmdline`);
      return command.includes("containerd-shim") && command.includes(folder);
    });
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // the process has ended meanwhile
  }
}

/** The processor time of processes. It is counted in clock ticks of 10 ms: fields 14 and 15 of proc_pid_stat(5). */
function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((total, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
    return total + (Number(fields[11]) + Number(fields[12])) / 100;
  }, 0);
}

/** Starts containers, a few at a time, so that it does not take minutes. */
async function startMany(api: Api, count: number): Promise<string[]> {
  const ids: string[] = [];
  const worker = async () => {
    while (ids.length < count) {
      const index = ids.push("") - 1;
      ids[index] = await api.run({ Image: IMAGE, Cmd: ["/bin/sleep", "100000"] });
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  return ids;
}

async function removeMany(api: Api, ids: readonly string[]): Promise<void> {
  const left = [...ids];
  const worker = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) await api.remove(id);
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

/** Measures the contenders in turns. `act` is timed as a whole, or returns its own `sample`. */
async function interleave(
  contenders: readonly Contender[],
  runs: number,
  act: (contender: Contender, sample: (ms: number) => void) => Promise<void>,
): Promise<Results> {
  const samples = new Map(contenders.map(({ engine }) => [engine.name, [] as number[]]));
  const warmUp = Math.min(WARM_UP, Math.ceil(runs / 5));
  for (let i = 0; i < warmUp + runs; i++)
    for (const contender of contenders) {
      let ms: number | undefined;
      const started = performance.now();
      await act(contender, (own) => {
        ms = own;
      });
      ms ??= performance.now() - started;
      if (i >= warmUp) samples.get(contender.engine.name)!.push(ms);
    }
  return Object.fromEntries([...samples].map(([name, ms]) => [name, summarize(ms)]));
}

function report(title: string, results: Results, goal: number): Results {
  console.log(title);
  for (const [name, summary] of Object.entries(results)) console.log(`  ${name.padEnd(8)} ${formatSummary(summary)}`);
  reportRatio(results.lighter!.p50Ms / results.docker!.p50Ms, goal);
  return results;
}

function compare(title: string, values: Record<string, number>, goal: number): Record<string, number> {
  console.log(title);
  for (const [name, value] of Object.entries(values)) console.log(`  ${name.padEnd(8)} ${value.toFixed(3)}`);
  reportRatio(values.lighter! / values.docker!, goal);
  return values;
}

function reportRatio(ratio: number, goal: number): void {
  const mark = ratio <= goal ? "met" : "MISSED";
  console.log(
    `  lighter / docker = ${ratio.toFixed(3)} (1/${(1 / ratio).toFixed(1)}), goal ≤ ${goal.toFixed(2)} ${mark}`,
  );
}

await main();
