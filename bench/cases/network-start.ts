/**
 * What a network adds to a start, ours and Docker's, CLI to CLI, in one run and interleaved: `run --rm IMAGE /bin/true` with
 * `--network none`, on the default network, on a user-defined one, and with a published port.
 *
 *   bun bench/cases/network-start.ts [--runs 30] [--save bench/baselines/NAME.json]
 *
 * What dominates is in network-start.md, beside this file. Needs root. Runs itself in a network namespace of its own.
 */
import { spawnSync } from "node:child_process";
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

/** Ours on the default network, beyond ours without one: median, milliseconds. */
const GOAL_MS = 3;
const NETWORK = "bench";
const CASES: Readonly<Record<string, readonly string[]>> = {
  none: ["--network", "none"],
  default: [],
  "user-defined": ["--network", NETWORK],
  published: ["-p", "18080:80"],
};
/** Of each case and engine: code is compiled, bridges are made. */
const WARM_UPS = 5;

const INSIDE = "LIGHTER_BENCH_INSIDE";

function runInNamespace(): number {
  const again = [
    "unshare",
    "--net",
    "sh",
    "-c",
    'ip link set lo up && exec "$@"',
    "sh",
    process.execPath,
    ...process.argv.slice(1),
  ];
  return spawnSync(again[0]!, again.slice(1), { stdio: "inherit", env: { ...process.env, [INSIDE]: "1" } }).status ?? 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { runs: { type: "string", default: "30" }, save: { type: "string" } } });
  ensurePackages("docker.io", "docker-cli", "iptables");
  const folder = makeWorkFolder();
  const engines: Engine[] = [];
  try {
    const docker = await startDocker(folder.path, { networks: true });
    engines.push(docker);
    const lighter = await startLighter(folder.path);
    engines.push(lighter);
    loadBusybox(folder.path, docker, lighter);
    for (const { cli, env } of engines) run([...cli, "network", "create", NETWORK], env);
    const results = measure(engines, Number(values.runs));
    report(results);
    if (values.save) saveBaseline(values.save, results);
    for (const { cli, env } of engines) run([...cli, "network", "rm", NETWORK], env);
  } finally {
    for (const engine of engines) await engine.stop();
    folder.remove();
  }
}

/** By engine and case. */
type Results = Record<string, Record<string, Summary>>;

function measure(engines: readonly Engine[], runs: number): Results {
  const samples = new Map<string, number[]>();
  for (let round = -WARM_UPS; round < runs; round++)
    for (const [what, flags] of rotated(Object.entries(CASES), round))
      for (const { name, cli, env } of engines) {
        const ms = timeMs([...cli, "run", "--rm", ...flags, IMAGE, "/bin/true"], env);
        const key = `${name} ${what}`;
        if (round >= 0) samples.set(key, [...(samples.get(key) ?? []), ms]);
      }
  return Object.fromEntries(
    engines.map(({ name }) => [
      name,
      Object.fromEntries(Object.keys(CASES).map((what) => [what, summarize(samples.get(`${name} ${what}`) ?? [])])),
    ]),
  );
}

/** What comes after a container with interfaces waits for the kernel to take them down: each has its turn. */
function rotated<T>(list: readonly T[], round: number): T[] {
  const at = (round + WARM_UPS) % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

function report(results: Results): void {
  for (const [name, cases] of Object.entries(results))
    for (const [what, summary] of Object.entries(cases))
      console.log(`  ${name.padEnd(8)} ${what.padEnd(14)} ${formatSummary(summary)}`);
  const { none, default: onDefault } = results.lighter!;
  const added = onDefault!.p50Ms - none!.p50Ms;
  const mark = added <= GOAL_MS ? "met" : "MISSED";
  console.log(`the default network adds ${added.toFixed(1)} ms to ours, goal ≤ ${GOAL_MS} ${mark}`);
}

if (process.env[INSIDE] === undefined) process.exitCode = runInNamespace();
else await main();
