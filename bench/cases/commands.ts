/**
 * Compares the command line with Docker's, each on its own daemon, interleaved in one run: commands that are over at once, with the peak
 * of their memory. "bun" is the same client on Bun, as where Lighter was built without libquickjs.
 *
 *   bun bench/cases/commands.ts [--runs 30] [--save bench/baselines/NAME.json]
 *
 * What was found is in commands.md, beside this file. Needs root. Docker comes from Debian's docker.io. Both daemons are private ones with
 * their own directories.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { run, timeMs } from "../support/commands.ts";
import {
  type Engine,
  ensurePackages,
  IMAGE,
  loadBusybox,
  makeWorkFolder,
  startDocker,
  startLighter,
} from "../support/engines.ts";
import { saveBaseline } from "../support/save.ts";
import { formatSummary, type Summary, summarize } from "../support/stats.ts";

interface Measured {
  args: readonly string[];
  /** The goal: our median divided by Docker's, and in milliseconds. */
  ratio: number;
  ms?: number;
}

const COMMANDS: readonly Measured[] = [
  { args: ["--version"], ratio: 1 / 4, ms: 1.5 },
  { args: ["ps"], ratio: 1 / 4 },
  { args: ["inspect", "sleeper"], ratio: 1 / 3 },
  { args: ["exec", "sleeper", "/bin/true"], ratio: 1 / 8 },
  { args: ["run", "--rm", "--network", "none", IMAGE, "/bin/true"], ratio: 1 / 13 },
];
const PEAK_GOAL_MIB = 6;

type Result = Summary & { peakKib: number };

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { runs: { type: "string", default: "30" }, save: { type: "string" } } });
  ensurePackages("docker.io", "docker-cli", "time");
  const folder = makeWorkFolder();
  const engines: Engine[] = [];
  try {
    const docker = await startDocker(folder.path);
    engines.push(docker);
    const lighter = await startLighter(folder.path);
    engines.push(lighter);
    loadBusybox(folder.path, docker, lighter);
    for (const { cli, env } of engines)
      run([...cli, "run", "-d", "--name", "sleeper", "--network", "none", IMAGE, "/bin/sleep", "1000"], env);
    console.log(`load at the beginning: ${readFileSync("/proc/loadavg", "utf8").trim()}`);
    const results: Record<string, Record<string, Result>> = {};
    for (const measured of COMMANDS) {
      const name = measured.args.slice(0, 1).join(" ");
      results[name] = measure(measured.args, [docker, lighter, onBun(lighter)], Number(values.runs));
      report(measured, results[name]);
    }
    console.log(`load at the end: ${readFileSync("/proc/loadavg", "utf8").trim()}`);
    for (const { cli, env } of engines) run([...cli, "rm", "-f", "sleeper"], env);
    if (values.save) saveBaseline(values.save, results);
  } finally {
    for (const engine of engines) await engine.stop();
    folder.remove();
  }
}

/** The same daemon's client on Bun. */
const onBun = (lighter: Engine): Engine => ({
  ...lighter,
  name: "bun",
  cli: [join(import.meta.dirname, "../../dist/lighterd")],
});

function measure(args: readonly string[], engines: readonly Engine[], runs: number): Record<string, Result> {
  const samples = new Map(engines.map(({ name }) => [name, [] as number[]]));
  for (let i = 0; i < runs; i++)
    for (const { name, cli, env } of engines) samples.get(name)!.push(timeMs([...cli, ...args], env));
  return Object.fromEntries(
    engines.map(({ name, cli, env }) => [
      name,
      { ...summarize(samples.get(name)!), peakKib: peakKib([...cli, ...args], env) },
    ]),
  );
}

/** The peak of a program's resident memory. time(1) starts it: a child of ours would count our own memory, until it executes. */
function peakKib(argv: readonly string[], env: NodeJS.ProcessEnv): number {
  const { stderr } = spawnSync("/usr/bin/time", ["-f", "%M", ...argv], { env, encoding: "utf8" });
  return Number(stderr.trim().split("\n").at(-1));
}

function report({ args, ratio, ms }: Measured, results: Record<string, Result>): void {
  console.log(args.join(" "));
  for (const [name, result] of Object.entries(results))
    console.log(`  ${name.padEnd(8)} ${formatSummary(result)}   peak ${(result.peakKib / 1024).toFixed(1)} MiB`);
  const { lighter, docker } = results;
  check("lighter / docker", lighter!.p50Ms / docker!.p50Ms, ratio);
  if (ms !== undefined) check("milliseconds", lighter!.p50Ms, ms);
  check("peak, MiB", lighter!.peakKib / 1024, PEAK_GOAL_MIB);
}

function check(what: string, value: number, goal: number): void {
  console.log(`  ${what} = ${value.toFixed(3)}, goal ≤ ${goal.toFixed(3)} ${value <= goal ? "met" : "MISSED"}`);
}

await main();
