/**
 * Compares builds with those of Docker's classic builder, CLI to CLI, in turns: the engine that went first goes last the next time.
 *
 *   files    a context of many small files, copied: new; unchanged; with one file changed
 *   large    one large file, copied: new; unchanged; unchanged for a minute, twice, for which it waits
 *   steps    nine instructions that are all in the cache; 20 RUN of /bin/true
 *   stages   four stages that each sleep for a second, twice
 *   api      by `docker buildx` in both cases, if asked for: what is unchanged, and what is not, beside BuildKit. What counts is the
 *            engines' own share: their processors' time, and the clock's without the processors' time of the client
 *
 *   bun bench/cases/build.ts [--only files,large] [--runs 3] [--files 10000] [--size 512] [--save bench/baselines/NAME.json]
 *
 * `--size`: MB of the large file. A quick look: `--only files --runs 1 --files 1000`. Needs root and a static /bin/busybox. What
 * dominates is in build.md.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { run, timeMs } from "../support/commands.ts";
import { endedCpuMs, engineCpuMs } from "../support/cpu.ts";
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
  /** The goal: Lighter's time divided by Docker's, of the clock or, by BuildKit's API, of the engine's processors. */
  goal: number;
  /** Makes the context of this step, once for both engines. Returns its directory. */
  context: (inputs: Inputs) => string;
  flags?: readonly string[];
  /** Whether both engines are asked by `docker buildx`. */
  isBuildx?: boolean;
  /** How often each engine does it in a row. */
  repeats?: number;
}

const buildx = { isBuildx: true, repeats: 5, goal: 1 / 5 } as const;

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
  api: [
    {
      ...buildx,
      title: "by buildx: 9 instructions, made",
      goal: 1,
      repeats: 1,
      context: (inputs) => nineInstructions(inputs),
    },
    {
      ...buildx,
      title: "by buildx: 9 instructions, unchanged",
      repeats: 10,
      context: ({ folder }) => join(folder, "nine"),
    },
    { ...buildx, title: "by buildx: many files, new", goal: 1 / 2, repeats: 1, context: (inputs) => manyFiles(inputs) },
    { ...buildx, title: "by buildx: many files, unchanged", context: ({ folder }) => join(folder, "many") },
    {
      ...buildx,
      title: "by buildx: many files, one changed",
      goal: 1 / 2,
      repeats: 1,
      context: (inputs) => oneChanged(inputs),
    },
    {
      ...buildx,
      title: "by buildx: a large file, new",
      goal: 1 / 2,
      repeats: 1,
      context: (inputs) => largeFile(inputs),
    },
    { ...buildx, title: "by buildx: a large file, unchanged", context: ({ folder }) => join(folder, "large") },
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

/** What a build took, by the clock and of processors. */
interface Sample {
  ms: number;
  engineMs: number;
  clientMs: number;
}

interface Samples {
  step: Step;
  engines: Record<string, Sample[]>;
  loads: number[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: "files,large,steps,stages" },
      runs: { type: "string", default: "3" },
      files: { type: "string", default: "10000" },
      size: { type: "string", default: "512" },
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
  const sample = samples.get(step.title) ?? { step, engines: {}, loads: [] };
  samples.set(step.title, sample);
  for (const engine of engines) {
    spawnSync("sync", ["-f", engine.dataPath]);
    const before = { engine: engineCpuMs(engine), client: endedCpuMs() };
    const { argv, env } = clientOf(engine, step);
    const repeats = step.repeats ?? 1;
    let ms = 0;
    for (let count = 0; count < repeats; count++) ms += timeMs([...argv, ...(step.flags ?? []), context], env);
    const clientMs = (endedCpuMs() - before.client) / repeats;
    spawnSync("sync", ["-f", engine.dataPath]); // work after the answer counts as processor time
    const engineMs = (engineCpuMs(engine) - before.engine) / repeats;
    sample.engines[engine.name] = [...(sample.engines[engine.name] ?? []), { ms: ms / repeats, engineMs, clientMs }];
  }
  sample.loads.push(loadavg()[0]!);
}

function clientOf(
  { cli, env, socket }: Engine,
  { isBuildx = false }: Step,
): { argv: string[]; env: NodeJS.ProcessEnv } {
  const args = ["build", "-q", "--network=none", "-t", "bench/built"];
  if (isBuildx) return { argv: ["docker", ...args], env: { ...env, DOCKER_HOST: socket, DOCKER_BUILDKIT: "1" } };
  return { argv: [...cli, ...args], env: { ...env, DOCKER_BUILDKIT: "0" } };
}

function report(title: string, { step, engines, loads }: Samples): object {
  const { goal, isBuildx = false } = step;
  const meanLoad = loads.reduce((sum, load) => sum + load, 0) / loads.length;
  console.log(`${title}   (load ${meanLoad.toFixed(1)})`);
  const medianOf = (name: string, value: (sample: Sample) => number) =>
    summarize((engines[name] ?? []).map(value)).p50Ms;
  for (const [name, samples] of Object.entries(engines)) {
    const [wall, engine, client] = [samples.map(({ ms }) => ms), medianOf(name, engineMs), medianOf(name, clientMs)];
    const processors = `CPU ${engine.toFixed(0)} ms, client ${client.toFixed(0)} ms`;
    console.log(`  ${name.padEnd(8)} ${formatSummary(summarize(wall))}   ${processors}`);
  }
  const ratioOf = (value: (sample: Sample) => number) => medianOf("lighter", value) / medianOf("docker", value);
  const clock = ratioOf(isBuildx ? ({ ms, clientMs: client }) => ms - client : ({ ms }) => ms);
  const processors = ratioOf(isBuildx ? engineMs : (sample) => engineMs(sample) + clientMs(sample));
  const verdict = `goal ≤ ${goal.toFixed(2)} ${(isBuildx ? processors : clock) <= goal ? "met" : "MISSED"}`;
  const what = isBuildx ? "own share: clock" : "clock";
  console.log(`  lighter / docker, ${what} ${clock.toFixed(3)}, CPU ${processors.toFixed(3)}; ${verdict}`);
  return { engines, clock, processors, meanLoad };
}

const engineMs = (sample: Sample): number => sample.engineMs;
const clientMs = (sample: Sample): number => sample.clientMs;

await main();
