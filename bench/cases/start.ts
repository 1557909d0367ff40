/**
 * Compares start-up with Docker's, CLI to CLI, interleaved in one run: `run --rm --network none IMAGE /bin/true`, one after the
 * other and 50 at a time. Also measures memory: the daemon with no container, the supervisor of an idle one.
 *
 *   bun bench/cases/start.ts [--runs 30] [--save bench/baselines/NAME.json]
 *
 * What dominates is in start.md, beside this file. Needs root. Docker comes from Debian's docker.io. Both daemons are private
 * ones with their own directories.
 */
import { parseArgs } from "node:util";
import { run, timeMs, timeTogetherMs } from "../support/commands.ts";
import {
  childrenOf,
  type Engine,
  ensurePackages,
  IMAGE,
  isSupervisor,
  loadBusybox,
  makeWorkFolder,
  residentKib,
  startDocker,
  startLighter,
} from "../support/engines.ts";
import { saveBaseline } from "../support/save.ts";
import { formatSummary, type Summary, summarize } from "../support/stats.ts";

const TOGETHER = 50;
const TOGETHER_ROUNDS = 3;
/** The number of first runs of a new daemon, which are reported separately: Lighter compiles its code in them. */
const FIRST_RUNS = 50;

/** The goals: Lighter's time divided by Docker's, or an absolute size. */
const GOALS = { runRatio: 1 / 10, togetherRatio: 1 / 5, daemonMib: 60, supervisorKib: 1024 };

/** The time after which both daemons have done what they do when they are idle. */
const IDLE_MS = 8000;

const RUN_TRUE = ["run", "--rm", "--network", "none", IMAGE, "/bin/true"];

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { runs: { type: "string", default: "30" }, save: { type: "string" } } });
  ensurePackages("docker.io", "docker-cli");
  const folder = makeWorkFolder();
  const engines: Engine[] = [];
  try {
    const docker = await startDocker(folder.path);
    engines.push(docker);
    const lighter = await startLighter(folder.path);
    engines.push(lighter);
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    const idle = idleMemory(docker, lighter);
    loadBusybox(folder.path, docker, lighter);

    const first = measureOne([docker, lighter], FIRST_RUNS);
    report("run --rm of /bin/true, one after the other, the first of new daemons", first, GOALS.runRatio);
    const one = measureOne([docker, lighter], Number(values.runs));
    report("run --rm of /bin/true, one after the other, later", one, GOALS.runRatio);
    const together = await measureTogether([docker, lighter]);
    report(`${TOGETHER} × run --rm of /bin/true, started together`, together, GOALS.togetherRatio);
    const memory = reportMemory(idle, docker, lighter);
    if (values.save) saveBaseline(values.save, { first, one, together, memory });
  } finally {
    for (const engine of engines) await engine.stop();
    folder.remove();
  }
}

type Results = Record<string, Summary>;

function measureOne(engines: readonly Engine[], runs: number): Results {
  const samples = new Map(engines.map(({ name }) => [name, [] as number[]]));
  for (let i = 0; i < runs; i++)
    for (const { name, cli, env } of engines) samples.get(name)!.push(timeMs([...cli, ...RUN_TRUE], env));
  return Object.fromEntries([...samples].map(([name, ms]) => [name, summarize(ms)]));
}

async function measureTogether(engines: readonly Engine[]): Promise<Results> {
  const samples = new Map(engines.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < TOGETHER_ROUNDS; round++)
    for (const { name, cli, env } of engines)
      samples.get(name)!.push(await timeTogetherMs(TOGETHER, [...cli, ...RUN_TRUE], env));
  return Object.fromEntries([...samples].map(([name, ms]) => [name, summarize(ms)]));
}

interface IdleMemory {
  dockerMib: number;
  lighterMib: number;
}

function idleMemory(docker: Engine, lighter: Engine): IdleMemory {
  const mib = (engine: Engine) => engine.daemonPids().reduce((sum, pid) => sum + residentKib(pid), 0) / 1024;
  return { dockerMib: mib(docker), lighterMib: mib(lighter) };
}

function reportMemory(idle: IdleMemory, docker: Engine, lighter: Engine): Record<string, number> {
  const after = idleMemory(docker, lighter);
  const supervisor = supervisorKib(lighter);
  const line = (what: string, mib: number, end = "") => console.log(`  ${what.padEnd(36)} ${mib.toFixed(1)} MiB${end}`);
  console.log("memory, resident");
  line("dockerd + containerd, idle", idle.dockerMib);
  line(
    "lighter daemon, idle",
    idle.lighterMib,
    `   goal ≤ ${GOALS.daemonMib} ${mark(idle.lighterMib, GOALS.daemonMib)}`,
  );
  line("dockerd + containerd, after the runs", after.dockerMib);
  line("lighter daemon, after the runs", after.lighterMib);
  console.log(
    `  lighter supervisor ${supervisor} KiB   goal ≤ ${GOALS.supervisorKib} ${mark(supervisor, GOALS.supervisorKib)}`,
  );
  return { ...idle, dockerAfterMib: after.dockerMib, lighterAfterMib: after.lighterMib, supervisorKib: supervisor };
}

function supervisorKib(lighter: Engine): number {
  const [daemon = 0] = lighter.daemonPids();
  const id = run([...lighter.cli, "run", "-d", "--network", "none", IMAGE, "/bin/sleep", "1000"], lighter.env).trim();
  try {
    const supervisor = childrenOf(daemon).find(isSupervisor);
    if (supervisor === undefined) throw new Error("the daemon has no supervisor as its child");
    return residentKib(supervisor);
  } finally {
    run([...lighter.cli, "rm", "-f", id], lighter.env);
  }
}

function mark(value: number, goal: number): string {
  return value <= goal ? "met" : "MISSED";
}

function report(title: string, results: Results, goal: number): void {
  console.log(title);
  for (const [name, summary] of Object.entries(results)) console.log(`  ${name.padEnd(8)} ${formatSummary(summary)}`);
  const ratio = results.lighter!.p50Ms / results.docker!.p50Ms;
  console.log(
    `  lighter / docker = ${ratio.toFixed(3)} (1/${(1 / ratio).toFixed(1)}), goal ≤ ${goal} ${mark(ratio, goal)}`,
  );
}

await main();
