/**
 * Compares the OCI runtime's command line with runc's, and with crun's if it runs, interleaved in one run, on one bundle with
 * Docker's default capabilities, mounts and seccomp filter:
 *
 *   run      the whole life of a container whose process is /bin/true
 *   create   create, start, kill and delete of a container that sleeps: four commands
 *   exec     /bin/true in a running container
 *
 * "bun" is the same runtime on Bun, as where it was built without libquickjs.
 *
 *   bun bench/cases/oci.ts [--runs 30] [--save bench/baselines/NAME.json]
 *
 * Needs root. runc and crun come from Debian if they are missing. What dominates is in oci.md, beside this file.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { toOciSeccomp } from "../../src/spec/docker-seccomp.ts";
import { defaultProfile } from "../../src/spec/docker-seccomp-default.ts";
import { run } from "../support/commands.ts";
import { makeWorkFolder } from "../support/engines.ts";
import { saveBaseline } from "../support/save.ts";
import { formatSummary, type Summary, summarize } from "../support/stats.ts";

const arch = process.arch === "arm64" ? "arm64" : "amd64";
const WARM_UP = 3;
/** The goal: Lighter's time divided by runc's. */
const GOAL_RATIO = 1 / 3;

interface Contender {
  name: string;
  command: string[];
}

type Measure = "run" | "create" | "exec";

function main(): void {
  const { values } = parseArgs({ options: { runs: { type: "string", default: "30" }, save: { type: "string" } } });
  const folder = makeWorkFolder();
  try {
    const contenders = findContenders(folder.path);
    const bundles = {
      short: makeBundle(folder.path, "short", "true"),
      long: makeBundle(folder.path, "long", "sleep 1000"),
    };
    const results = measure(contenders, bundles, Number(values.runs));
    for (const [name, summaries] of Object.entries(results)) report(name, summaries);
    if (values.save) saveBaseline(values.save, results);
  } finally {
    folder.remove();
  }
}

function findContenders(folder: string): Contender[] {
  if (!existsSync("/usr/sbin/runc") || !existsSync("/usr/bin/crun"))
    run(["apt-get", "install", "-y", "-qq", "runc", "crun"], { ...process.env, DEBIAN_FRONTEND: "noninteractive" });
  const root = (name: string) => ["--root", join(folder, "run", name)];
  const runc = { name: "runc", command: ["runc", ...root("runc")] };
  const crun = { name: "crun", command: ["crun", ...root("crun")] };
  const lighter = { name: "lighter", command: [linkTo(folder, "lighter-runtime"), ...root("lighter")] };
  const bun = { name: "bun", command: [linkTo(folder, "lighterd"), ...root("bun")] };
  const works = (contender: Contender) => {
    const bundle = makeBundle(folder, `probe-${contender.name}`, "true");
    return spawnSync(contender.command[0]!, [...contender.command.slice(1), "run", "-b", bundle, "probe"]).status === 0;
  };
  return [runc, crun, lighter, bun].filter((contender) => {
    if (works(contender)) return true;
    console.log(`${contender.name} does not run here, and is left out`);
    return false;
  });
}

/** Makes a link by whose name a program of dist/ is the OCI runtime. */
function linkTo(folder: string, program: string): string {
  const directory = join(folder, `link-${program}`);
  mkdirSync(directory);
  const link = join(directory, "lighter-runtime");
  symlinkSync(join(import.meta.dirname, "../../dist", program), link);
  return link;
}

/** Makes a bundle with a busybox root and the config that `runc spec` prints, without a terminal, with a filter like Docker's. */
function makeBundle(folder: string, name: string, command: string): string {
  const bundle = join(folder, name);
  mkdirSync(join(bundle, "rootfs/bin"), { recursive: true });
  run(["cp", "/bin/busybox", join(bundle, "rootfs/bin/busybox")]);
  for (const link of ["sh", "true", "sleep"]) symlinkSync("busybox", join(bundle, "rootfs/bin", link));
  run(["runc", "spec", "-b", bundle]);
  const path = join(bundle, "config.json");
  const config = JSON.parse(readFileSync(path, "utf8"));
  config.process.terminal = false;
  config.process.args = command.split(" ");
  const capabilities: string[] = config.process.capabilities.bounding;
  config.linux.seccomp = toOciSeccomp(defaultProfile(), { arch, capabilities, kernelVersion: release() });
  writeFileSync(path, JSON.stringify(config));
  return bundle;
}

function measure(
  contenders: readonly Contender[],
  bundles: { short: string; long: string },
  runs: number,
): Record<Measure, Record<string, Summary>> {
  const samples: Record<Measure, Record<string, number[]>> = { run: {}, create: {}, exec: {} };
  const take = (what: Measure, { name, command }: Contender, commands: string[][], counts: boolean) => {
    const started = performance.now();
    for (const args of commands) execute([...command, ...args]);
    if (!counts) return;
    samples[what][name] ??= [];
    samples[what][name].push(performance.now() - started);
  };
  for (let i = -WARM_UP; i < runs; i++)
    for (const contender of contenders) {
      take("run", contender, [["run", "-b", bundles.short, "r"]], i >= 0);
      const life = [
        ["create", "-b", bundles.long, "c"],
        ["start", "c"],
        ["kill", "c", "KILL"],
        ["delete", "-f", "c"],
      ];
      take("create", contender, life, i >= 0);
    }
  for (const { name, command } of contenders) execute([...command, "run", "-d", "-b", bundles.long, `bench-${name}`]);
  for (let i = -WARM_UP; i < runs; i++)
    for (const contender of contenders)
      take("exec", contender, [["exec", `bench-${contender.name}`, "/bin/true"]], i >= 0);
  for (const { name, command } of contenders) execute([...command, "delete", "-f", `bench-${name}`]);
  const summaries = (what: Measure) =>
    Object.fromEntries(Object.entries(samples[what]).map(([name, ms]) => [name, summarize(ms)]));
  return { run: summaries("run"), create: summaries("create"), exec: summaries("exec") };
}

/** Runs a command with stdio on /dev/null: a container would keep an inherited pipe open until its end. */
function execute([program = "", ...args]: string[]): void {
  const { status, signal } = spawnSync(program, args, { stdio: "ignore" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${status ?? signal}`);
}

function report(what: string, summaries: Record<string, Summary>): void {
  console.log(what);
  for (const [name, summary] of Object.entries(summaries)) console.log(`  ${name.padEnd(8)} ${formatSummary(summary)}`);
  for (const peer of ["runc", "crun"]) {
    if (!summaries[peer]) continue;
    const ratio = summaries.lighter!.p50Ms / summaries[peer].p50Ms;
    const goal = peer === "runc" ? `, goal ≤ ${GOAL_RATIO.toFixed(2)} ${ratio <= GOAL_RATIO ? "met" : "MISSED"}` : "";
    console.log(`  lighter / ${peer} = ${ratio.toFixed(3)}${goal}`);
  }
}

main();
