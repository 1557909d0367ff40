/**
 * Compares builds with those of Docker's classic builder, CLI to CLI, in turns: the engine that went first goes last the next time.
 *
 *   files    a context of many small files, copied: new; unchanged; with one file changed
 *   large    one large file, copied: new; unchanged; unchanged for a minute, twice, for which it waits
 *   steps    nine instructions that are all in the cache; 20 RUN of /bin/true
 *   stages   four stages that each sleep for a second, twice
 *
 *   bun bench/cases/build.ts [--only files,large] [--runs 3] [--files 10000] [--size 512] [--buildx] [--save bench/baselines/NAME.json]
 *
 * `--size`: MB of the large file. `--buildx`: both engines serve the stock `docker buildx`, in place of the classic builder's clients. A quick look: `--only files --runs 1 --files 1000`. Needs root and a static /bin/busybox. Without
 * Docker only Lighter is measured. What dominates is in build.md.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { run, timeMs } from "../support/commands.ts";
import { cpuMs } from "../support/cpu.ts";
import { type Engine, IMAGE, loadBusybox, makeWorkFolder, startDocker, startLighter } from "../support/engines.ts";
import { saveBaseline } from "../support/save.ts";
import { formatSummary, summarize } from "../support/stats.ts";

interface Inputs {
  folder: string;
  /** How many times each step was measured. */
  round: number;
  files: number;
  sizeMb: number;
}

interface Step {
  title: string;
  /** The goal: Lighter's time divided by Docker's. */
  goal: number;
  /** Makes the context of this step, once for both engines. Returns its directory. */
  context: (inputs: Inputs) => string;
  flags?: readonly string[];
}

const groups: Readonly<Record<string, readonly Step[]>> = {
  files: [
    { title: "many files, new", goal: 1 / 3, context: (inputs) => manyFiles(inputs) },
    { title: "many files, unchanged", goal: 1 / 4, context: ({ folder }) => join(folder, "many") },
    { title: "many files, one changed", goal: 1 / 6, context: (inputs) => oneChanged(inputs) },
  ],
  large: [
    { title: "a large file, new", goal: 1 / 2, context: (inputs) => largeFile(inputs) },
    { title: "a large file, unchanged", goal: 1 / 2, context: ({ folder }) => join(folder, "large") },
    { title: "a large file, unchanged for a minute", goal: 1 / 2, context: (inputs) => settledFile(inputs) },
    { title: "a large file, once more", goal: 1 / 2, context: ({ folder }) => join(folder, "large") },
  ],
  steps: [
    { title: "20 RUN /bin/true", goal: 1 / 5, context: (inputs) => twentyRuns(inputs), flags: ["--no-cache"] },
    { title: "9 instructions, made", goal: 1, context: (inputs) => nineInstructions(inputs) },
    { title: "9 instructions, unchanged", goal: 1 / 2, context: ({ folder }) => join(folder, "nine") },
  ],
  stages: [{ title: "4 stages of 2 s", goal: 1 / 3, context: (inputs) => fourStages(inputs), flags: ["--no-cache"] }],
};

const FILES_PER_DIRECTORY = 100;
const SMALL_BYTES = 3300;
const SETTLED_MS = 61_000;

function newContext({ folder }: Inputs, name: string, dockerfile: readonly string[]): string {
  const directory = join(folder, name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  writeFileSync(join(directory, "Dockerfile"), `${[`FROM ${IMAGE}`, ...dockerfile].join("\n")}\n`);
  return directory;
}

/** Files that differ from round to round, so that no cache has them. */
function manyFiles(inputs: Inputs): string {
  const directory = newContext(inputs, "many", ["COPY files /files/"]);
  const bytes = Buffer.alloc(SMALL_BYTES, `text of round ${inputs.round}\n`);
  for (let index = 0; index < inputs.files; index++) {
    const parent = join(directory, "files", `${Math.floor(index / FILES_PER_DIRECTORY)}`);
    if (index % FILES_PER_DIRECTORY === 0) mkdirSync(parent, { recursive: true });
    bytes.writeUInt32LE(index);
    writeFileSync(join(parent, `${index}`), bytes);
  }
  return directory;
}

function oneChanged({ folder, round }: Inputs): string {
  writeFileSync(join(folder, "many/files/0/0"), `changed in round ${round}`);
  return join(folder, "many");
}

function largeFile(inputs: Inputs): string {
  const directory = newContext(inputs, "large", ["COPY file /file"]);
  const file = join(directory, "file");
  run(["dd", "if=/dev/urandom", `of=${file}`, "bs=1M", `count=${inputs.sizeMb}`, "status=none"]);
  return directory;
}

/** Waits until the file is so old that its attributes tell whether it has changed. */
function settledFile({ folder }: Inputs): string {
  const ageMs = Date.now() - statSync(join(folder, "large/file")).ctimeMs;
  spawnSync("sleep", [String(Math.max(0, SETTLED_MS - ageMs) / 1000)]);
  return join(folder, "large");
}

function twentyRuns(inputs: Inputs): string {
  return newContext(
    inputs,
    "runs",
    Array.from({ length: 20 }, () => 'RUN ["/bin/true"]'),
  );
}

function nineInstructions(inputs: Inputs): string {
  const lines = ["ENV A=b", "WORKDIR /w", "COPY Dockerfile .", "RUN true", "LABEL a=b", "USER 0", "EXPOSE 80"];
  return newContext(inputs, "nine", [...lines, `CMD ["round", "${inputs.round}"]`]);
}

function fourStages(inputs: Inputs): string {
  const stages = [1, 2, 3].flatMap((number) => [
    ...["RUN sleep 1", `RUN sleep 1 && echo ${number} > /made-${number}`],
    `FROM ${IMAGE}`,
  ]);
  const copies = [1, 2, 3].map((number) => `COPY --from=${number - 1} /made-${number} /`);
  return newContext(inputs, "stages", [...stages, "RUN sleep 1", "RUN sleep 1", ...copies]);
}

interface Samples {
  goal: number;
  ms: Record<string, number[]>;
  cpuMs: Record<string, number[]>;
  loads: number[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: Object.keys(groups).join(",") },
      runs: { type: "string", default: "3" },
      files: { type: "string", default: "10000" },
      size: { type: "string", default: "512" },
      buildx: { type: "boolean", default: false },
      save: { type: "string" },
    },
  });
  const steps = values.only.split(",").flatMap((name) => {
    const group = groups[name];
    if (group === undefined) throw new Error(`there is no "${name}"`);
    return group;
  });
  const folder = makeWorkFolder();
  await using undo = new AsyncDisposableStack();
  undo.defer(() => folder.remove());
  const lighter = await startLighter(folder.path);
  undo.defer(() => lighter.stop());
  const docker = await startDocker(folder.path);
  undo.defer(() => docker.stop());
  loadBusybox(folder.path, docker, lighter);
  Object.assign(docker.env, { DOCKER_BUILDKIT: values.buildx ? "1" : "0" });
  if (values.buildx) Object.assign(lighter, { cli: docker.cli, env: { ...docker.env, DOCKER_HOST: lighter.socket } });
  const samples = new Map<string, Samples>();
  const inputs = { folder: folder.path, files: Number(values.files), sizeMb: Number(values.size) };
  for (let round = 0; round < Number(values.runs); round++)
    for (const [index, step] of steps.entries()) {
      const engines = (round + index) % 2 === 0 ? [docker, lighter] : [lighter, docker];
      measure(step, engines, step.context({ ...inputs, round }), samples);
    }
  const results = Object.fromEntries([...samples].map(([title, sample]) => [title, report(title, sample)]));
  if (values.save) saveBaseline(values.save, results);
}

function measure(step: Step, engines: readonly Engine[], context: string, samples: Map<string, Samples>): void {
  const sample = samples.get(step.title) ?? { goal: step.goal, ms: {}, cpuMs: {}, loads: [] };
  samples.set(step.title, sample);
  for (const engine of engines) {
    spawnSync("sync", ["-f", engine.dataPath]);
    const cpuBefore = cpuMs(engine);
    const args = ["build", "-q", "--network=none", "-t", "bench/built", ...(step.flags ?? []), context];
    const ms = timeMs([...engine.cli, ...args], engine.env);
    spawnSync("sync", ["-f", engine.dataPath]); // work after the answer counts as processor time
    sample.ms[engine.name] = [...(sample.ms[engine.name] ?? []), ms];
    sample.cpuMs[engine.name] = [...(sample.cpuMs[engine.name] ?? []), cpuMs(engine) - cpuBefore];
  }
  sample.loads.push(loadavg()[0]!);
}

function report(title: string, { goal, ms, cpuMs: cpu, loads }: Samples): object {
  const meanLoad = loads.reduce((sum, load) => sum + load, 0) / loads.length;
  console.log(`${title}   (load ${meanLoad.toFixed(1)})`);
  const of: Record<string, { wall: ReturnType<typeof summarize>; processors: ReturnType<typeof summarize> }> = {};
  for (const name of ["docker", "lighter"]) {
    of[name] = { wall: summarize(ms[name] ?? []), processors: summarize(cpu[name] ?? []) };
    console.log(`  ${name.padEnd(8)} ${formatSummary(of[name].wall)}   CPU ${of[name].processors.p50Ms.toFixed(0)} ms`);
  }
  const ratio = of.lighter!.wall.p50Ms / of.docker!.wall.p50Ms;
  const cpuRatio = of.lighter!.processors.p50Ms / of.docker!.processors.p50Ms;
  const verdict = `goal ≤ ${goal.toFixed(2)} ${ratio <= goal ? "met" : "MISSED"}`;
  console.log(`  lighter / docker = ${ratio.toFixed(3)}, ${verdict}; CPU ${cpuRatio.toFixed(3)}`);
  return { ...of, ratio, cpuRatio, meanLoad };
}

await main();
