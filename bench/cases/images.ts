/**
 * Images, ours against Docker's and Podman's, CLI to CLI, in one run and interleaved, all from one local registry: a
 * Debian image of at least 100 MB in at least six layers.
 *
 *   pull    with nothing of it there      pull again  with all of it there
 *   save    to a file                     load        from that file, with nothing of it there
 *   big     memory of our daemon and its workers while an image of 2 GB is pulled
 *
 *   bun bench/cases/images.ts [--runs 5] [--only pull,save,load,big] [--save bench/baselines/NAME.json]
 *
 * Needs root. Docker, Podman, skopeo, docker-registry and mmdebstrap come from Debian if they are missing.
 * What dominates is in images.md, beside this file.
 */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { run, timeMs } from "../support/commands.ts";
import { ensurePackages, makeWorkFolder, residentKib, startDocker, startLighter } from "../support/engines.ts";
import { makeBigImage, makeDebianImage, startRegistry } from "../support/images.ts";
import { saveBaseline } from "../support/save.ts";
import { formatSummary, type Summary, summarize } from "../support/stats.ts";

/** What we hold ourselves to: ours divided by Docker's; milliseconds; MiB. */
const GOALS = { ratio: 0.6, againMs: 50, bigMib: 150 };

interface Contender {
  name: string;
  cli: readonly string[];
  env?: NodeJS.ProcessEnv;
}

type Measure = "pull" | "again" | "save" | "load";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "5" },
      only: { type: "string", default: "pull,save,load,big" },
      save: { type: "string" },
    },
  });
  const only = values.only.split(",");
  ensurePackages("docker.io", "docker-cli", "podman", "skopeo", "docker-registry", "mmdebstrap");
  const folder = makeWorkFolder();
  const registry = await startRegistry(folder.path);
  const docker = await startDocker(folder.path);
  const lighter = await startLighter(folder.path);
  try {
    const podman = `podman --root ${folder.path}/podman --runroot ${folder.path}/run/podman --tmpdir ${folder.path}/run/podman-tmp`;
    const contenders: Contender[] = [docker, { name: "podman", cli: podman.split(" ") }, lighter];
    const results: Record<string, unknown> = {};
    if (only.some((name) => name !== "big")) {
      const image = makeDebianImage(folder.path, registry.host);
      console.log(`${image.name}: ${image.layers} layers, ${(image.bytes / 1e6).toFixed(0)} MB compressed`);
      Object.assign(results, { image }, measure(contenders, image.name, folder.path, Number(values.runs), only));
    }
    if (only.includes("big")) results.big = await measureBig(lighter, folder.path, registry.host);
    if (values.save) saveBaseline(values.save, results);
  } finally {
    for (const server of [docker, lighter, registry]) await server.stop();
    folder.remove();
  }
}

function measure(contenders: readonly Contender[], image: string, folder: string, runs: number, only: string[]) {
  const samples: Record<Measure, Record<string, number[]>> = { pull: {}, again: {}, save: {}, load: {} };
  const insecure = (name: string) => (name === "podman" ? ["--tls-verify=false"] : []);
  const take = (measured: Measure, { name, cli, env }: Contender, args: string[]) => {
    samples[measured][name] = [...(samples[measured][name] ?? []), timeMs([...cli, ...args], env)];
  };
  const archive = (name: string) => join(folder, `${name}.tar`);
  for (let i = 0; i < runs; i++)
    for (const contender of contenders) {
      const { name, cli, env } = contender;
      const remove = () => run([...cli, "rmi", image], env);
      if (only.includes("pull") || i === 0) take("pull", contender, ["pull", "-q", ...insecure(name), image]);
      take("again", contender, ["pull", "-q", ...insecure(name), image]);
      if (only.includes("save") || i === 0) {
        rmSync(archive(name), { force: true });
        take("save", contender, ["save", "-o", archive(name), image]);
      }
      if (only.includes("load")) {
        remove();
        take("load", contender, ["load", "-q", "-i", archive(name)]);
      }
      if (only.includes("pull")) remove();
    }
  return Object.fromEntries(
    Object.entries(samples)
      .filter(([name]) => name === "again" || only.includes(name))
      .map(([name, ofContenders]) => [name, report(name as Measure, ofContenders)]),
  );
}

function report(measured: Measure, samples: Record<string, number[]>): Record<string, Summary> {
  const summaries = Object.fromEntries(Object.entries(samples).map(([name, ms]) => [name, summarize(ms)]));
  console.log(measured);
  for (const [name, summary] of Object.entries(summaries)) console.log(`  ${name.padEnd(8)} ${formatSummary(summary)}`);
  const ours = summaries.lighter!.p50Ms;
  const ratio = ours / summaries.docker!.p50Ms;
  const goal = measured === "again" ? `≤ ${GOALS.againMs} ms` : `≤ ${GOALS.ratio}`;
  const isMet = measured === "again" ? ours <= GOALS.againMs : ratio <= GOALS.ratio;
  console.log(`  lighter / docker = ${ratio.toFixed(3)}, goal ${goal} ${isMet ? "met" : "MISSED"}`);
  return summaries;
}

/** The highest resident memory seen, of the daemon alone and with its workers. */
async function measureBig(lighter: Awaited<ReturnType<typeof startLighter>>, folder: string, host: string) {
  const image = makeBigImage(folder, host);
  const [daemon = 0] = lighter.daemonPids();
  const [program = "", ...args] = [...lighter.cli, "pull", "-q", image];
  const started = performance.now();
  const child = spawn(program, args, { env: lighter.env, stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const peak = { daemonKib: 0, togetherKib: 0 };
  const timer = setInterval(() => {
    const kib = residentOrZero(daemon);
    const workers = lighter.childPids().reduce((sum, pid) => sum + residentOrZero(pid), 0);
    peak.daemonKib = Math.max(peak.daemonKib, kib);
    peak.togetherKib = Math.max(peak.togetherKib, kib + workers);
  }, 50);
  const code = await ended;
  clearInterval(timer);
  if (code !== 0) throw new Error(`the pull ended with ${code}`);
  const [seconds, daemonMib, togetherMib] = [
    (performance.now() - started) / 1000,
    peak.daemonKib / 1024,
    peak.togetherKib / 1024,
  ];
  console.log(
    `big: ${seconds.toFixed(1)} s; daemon at most ${daemonMib.toFixed(1)} MiB, with its workers ${togetherMib.toFixed(1)} MiB; ` +
      `goal ≤ ${GOALS.bigMib} MiB ${daemonMib <= GOALS.bigMib ? "met" : "MISSED"}`,
  );
  return { seconds, daemonMib, togetherMib };
}

/** It may have just ended. */
function residentOrZero(pid: number): number {
  try {
    return residentKib(pid);
  } catch {
    return 0;
  }
}

await main();
