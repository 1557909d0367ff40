/**
 * Compares images and containers' files with Docker's, CLI to CLI, in turns: the engine that went first goes last the next time.
 * Both get the same archives, with this host's files in four layers. In each round of a group both begin with new ext4s, for their
 * data and for what they copy out.
 *
 *   load     an archive of `docker save`, new; with all of it there; `rmi`; `rmi` and `load`, where much was deleted just before
 *   gzip     the same archive in gzip, new; with all of it there
 *   push     after a load, to an empty registry; and how many bytes of layers it has then
 *   cp       one large file, and many small ones, into a running container and out of it
 *   commit   what the large file and the many have changed
 *   pull     from the registry, new; with all of it there; `save` to a file
 *   big      memory of Lighter's daemon and its workers while an image of 2 GB is pulled
 *
 *   bun bench/cases/images.ts [--only load,cp] [--runs 3] [--size 300] [--files 20000] [--busy 4] [--warm 4000]
 *     [--save bench/baselines/NAME.json]
 *
 * `--size`: MB of the archive and of the large file. `--busy`: the number of endless loops that run at the same time. `--warm`: the MiB
 * of memory that the host of a virtual machine leaves to it (support/warm-memory.py); 0 for none. Needs root, ext4 tools and python3.
 * Without Docker only Lighter is measured; without docker-registry and skopeo the parts that need them are left out. What dominates is
 * in images.md.
 */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { run, timeMs } from "../support/commands.ts";
import { cpuMs } from "../support/cpu.ts";
import { dataPathOf, type Engine, makeWorkFolder, residentKib, startDocker, startLighter } from "../support/engines.ts";
import { mountNewFilesystem, removeFilesystem } from "../support/filesystem.ts";
import { type ArchiveImage, makeArchiveImage, makeBigImage, startRegistry } from "../support/images.ts";
import { saveBaseline } from "../support/save.ts";
import { formatSummary, summarize } from "../support/stats.ts";
import { keepMemoryWarm } from "../support/warm-memory.ts";

/** The goal for the daemon's memory, in MiB. */
const BIG_GOAL_MIB = 150;
const CONTAINER = "bench";
const REGISTRY_GROUPS = ["push", "pull", "big"];
/** The disk space for what an engine keeps of an image: blobs, trees, and unfinished downloads. */
const DISK_PER_IMAGE_MB = 14;
const DELETION_POLL_MS = 50;

interface Inputs {
  folder: string;
  image: ArchiveImage;
  /** The registry's address. */
  host: string;
}

interface Step {
  title: string;
  /** The goal: Lighter's time divided by Docker's. */
  goal: number;
  /** Runs before the step and is not measured. */
  before?: (engine: Engine, inputs: Inputs) => void;
  act: (engine: Engine, inputs: Inputs) => readonly (readonly string[])[];
  /** Whether the step pushes: then the size of the registry's content is measured, too. */
  pushes?: boolean;
}

const load = (archive: string) => ["load", "-q", "-i", archive];
const loaded = (engine: Engine, { image }: Inputs) => ours(engine, load(image.archive));
const outFolderOf = (name: string, folder: string) => join(folder, `${name}-out`);
const outOf = ({ name }: Engine, { folder }: Inputs) => join(outFolderOf(name, folder), "copy");
const pushedName = (engine: Engine, { host }: Inputs) => `${host}/bench/${engine.name}:1`;

/** The steps of each group, one after another, beginning without the image. */
const groups: Readonly<Record<string, readonly Step[]>> = {
  load: [
    { title: "load, new", goal: 0.5, act: (_, { image }) => [load(image.archive)] },
    { title: "load, everything there", goal: 0.3, act: (_, { image }) => [load(image.archive)] },
    { title: "rmi and load", goal: 0.5, act: (_, { image }) => [["rmi", image.name], load(image.archive)] },
    { title: "rmi", goal: 0.2, act: (_, { image }) => [["rmi", image.name]] },
  ],
  gzip: [
    { title: "load of gzip, new", goal: 0.5, act: (_, { image }) => [load(image.gzipArchive)] },
    {
      title: "load of gzip, everything there",
      goal: 0.3,
      act: (_, { image }) => [load(image.gzipArchive)],
    },
  ],
  push: [
    {
      title: "push after load",
      goal: 0.5,
      before: (engine, inputs) => {
        loaded(engine, inputs);
        ours(engine, ["tag", inputs.image.name, pushedName(engine, inputs)]);
      },
      act: (engine, inputs) => [["push", "-q", pushedName(engine, inputs)]],
      pushes: true,
    },
  ],
  cp: [
    {
      title: "cp in, one large file",
      goal: 0.5,
      before: started,
      act: (_, { folder }) => [["cp", join(folder, "large"), `${CONTAINER}:/large`]],
    },
    { title: "cp in, many", goal: 0.5, act: (_, { folder }) => [["cp", join(folder, "many"), `${CONTAINER}:/many`]] },
    {
      title: "cp out, one large file",
      goal: 0.5,
      before: cleanOut,
      act: (engine, inputs) => [["cp", `${CONTAINER}:/large`, outOf(engine, inputs)]],
    },
    {
      title: "cp out, many",
      goal: 0.5,
      before: cleanOut,
      act: (engine, inputs) => [["cp", `${CONTAINER}:/many`, outOf(engine, inputs)]],
    },
  ],
  commit: [
    {
      title: "commit",
      goal: 0.5,
      before: (engine, inputs) => {
        started(engine, inputs);
        for (const name of ["large", "many"]) ours(engine, ["cp", join(inputs.folder, name), `${CONTAINER}:/`]);
      },
      act: () => [["commit", CONTAINER, "bench/commit:1"]],
    },
  ],
  pull: [
    { title: "pull, new", goal: 0.6, act: (_, { image }) => [["pull", "-q", image.pulled]] },
    { title: "pull, everything there", goal: 0.6, act: (_, { image }) => [["pull", "-q", image.pulled]] },
    {
      title: "save",
      goal: 0.6,
      before: cleanOut,
      act: (engine, inputs) => [["save", "-o", outOf(engine, inputs), inputs.image.pulled]],
    },
  ],
};

function started(engine: Engine, inputs: Inputs): void {
  loaded(engine, inputs);
  ours(engine, ["run", "-d", "--network", "none", "--name", CONTAINER, inputs.image.name]);
}

function cleanOut(engine: Engine, inputs: Inputs): void {
  rmSync(outOf(engine, inputs), { recursive: true, force: true });
}

function ours({ cli, env }: Engine, args: readonly string[]): string {
  return run([...cli, ...args], env);
}

interface Samples {
  goal: number;
  ms: Record<string, number[]>;
  cpuMs: Record<string, number[]>;
  registryMb: Record<string, number>;
  loads: number[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: [...Object.keys(groups), "big"].join(",") },
      runs: { type: "string", default: "3" },
      size: { type: "string", default: "300" },
      files: { type: "string", default: "20000" },
      busy: { type: "string", default: "0" },
      warm: { type: "string", default: "4000" },
      save: { type: "string" },
    },
  });
  const wanted = values.only.split(",");
  for (const name of wanted)
    if (name !== "big" && !Object.hasOwn(groups, name)) throw new Error(`there is no "${name}"`);
  const starts = has("dockerd", "docker") ? [startDocker, startLighter] : [startLighter];
  if (starts.length === 1) console.log("docker: [skipped: dockerd and docker are not installed]");
  const hasRegistry = has("docker-registry", "skopeo");
  const names = wanted.filter((name) => hasRegistry || !REGISTRY_GROUPS.includes(name));
  for (const name of wanted)
    if (!names.includes(name)) console.log(`${name}: [skipped: docker-registry and skopeo are not installed]`);

  using _ = await keepMemoryWarm(Number(values.warm));
  const folder = makeWorkFolder();
  const busy = Array.from({ length: Number(values.busy) }, () => spawn("sh", ["-c", "while :; do :; done"]));
  const results: Record<string, unknown> = {};
  try {
    const registry = hasRegistry ? await startRegistry(folder.path) : undefined;
    try {
      const host = registry?.host ?? "";
      const image = makeArchiveImage(folder.path, Number(values.size), registry?.host);
      console.log(`${image.layers} layers, ${image.files} files, ${(image.bytes / 1e6).toFixed(0)} MB`);
      if (names.some((name) => ["cp", "commit"].includes(name)))
        makeFiles(folder.path, Number(values.size), Number(values.files));
      const inputs: Inputs = { folder: folder.path, image, host };
      for (const name of names.filter((name) => name !== "big")) {
        const samples = new Map<string, Samples>();
        for (let round = 0; round < Number(values.runs); round++)
          await withEngines(starts, folder.path, Number(values.size), (engines) =>
            measure(groups[name]!, engines, inputs, samples, round),
          );
        for (const [title, sample] of samples) results[title] = report(title, sample);
      }
      if (names.includes("big")) results.big = await measureBig(folder.path, host);
    } finally {
      await registry?.stop();
    }
    if (values.save) saveBaseline(values.save, results);
  } catch (error) {
    console.error(error); // the following groups may fail because of it
    throw error;
  } finally {
    for (const loop of busy) loop.kill("SIGKILL");
    folder.remove();
  }
}

function has(...programs: string[]): boolean {
  return programs.every((program) => spawnSync("sh", ["-c", 'command -v "$0"', program]).status === 0);
}

function makeFiles(folder: string, largeMb: number, count: number): void {
  run(["dd", "if=/dev/urandom", `of=${join(folder, "large")}`, "bs=1M", `count=${largeMb}`, "status=none"]);
  const bytes = Buffer.alloc(4096, "some text\n");
  for (let i = 0; i < count; i++) {
    const directory = join(folder, "many", `${i % 100}`);
    if (i < 100) mkdirSync(directory, { recursive: true });
    const fd = openSync(join(directory, `${i}`), "w");
    writeSync(fd, bytes, 0, (i * 37) % bytes.length);
    closeSync(fd);
  }
}

async function withEngines(
  starts: readonly ((folder: string) => Promise<Engine>)[],
  folder: string,
  sizeMb: number,
  use: (engines: readonly Engine[]) => Promise<void>,
): Promise<void> {
  await using undo = new AsyncDisposableStack();
  const engines: Engine[] = [];
  for (const start of starts) {
    const name = start === startDocker ? "docker" : "lighter";
    for (const path of [dataPathOf(name, folder), outFolderOf(name, folder)]) {
      mountNewFilesystem(path, 4096 + DISK_PER_IMAGE_MB * sizeMb);
      undo.defer(() => removeFilesystem(path));
    }
    const engine = await start(folder);
    undo.defer(() => engine.stop());
    engines.push(engine);
  }
  await use(engines);
}

async function measure(
  steps: readonly Step[],
  engines: readonly Engine[],
  inputs: Inputs,
  samples: Map<string, Samples>,
  round: number,
): Promise<void> {
  for (const [index, step] of steps.entries())
    for (const engine of (round + index) % 2 === 0 ? engines : engines.toReversed()) {
      const { name, cli, env } = engine;
      step.before?.(engine, inputs);
      await settle(engine);
      const sample = samples.get(step.title) ?? { goal: step.goal, ms: {}, cpuMs: {}, registryMb: {}, loads: [] };
      samples.set(step.title, sample);
      const cpuBefore = cpuMs(engine);
      const ms = step.act(engine, inputs).reduce((sum, args) => sum + timeMs([...cli, ...args], env), 0);
      sample.loads.push(loadavg()[0]!);
      await settle(engine); // work after the answer counts as processor time
      sample.ms[name] = [...(sample.ms[name] ?? []), ms];
      sample.cpuMs[name] = [...(sample.cpuMs[name] ?? []), cpuMs(engine) - cpuBefore];
      if (step.pushes) sample.registryMb[name] = layerBytes(pushedName(engine, inputs)) / 1e6;
    }
  for (const engine of engines) {
    cleanOut(engine, inputs);
    if (ours(engine, ["ps", "-q"]) !== "") ours(engine, ["rm", "-f", CONTAINER]); // the container would outlive its daemon
  }
}

/** Waits until nothing is being deleted or waiting to be written: the next step would be measured with it. */
async function settle({ dataPath }: Engine): Promise<void> {
  const trashes = ["image", "containers"].map((name) => join(dataPath, name, ".removed"));
  while (trashes.some((path) => existsSync(path) && readdirSync(path).length > 0))
    await new Promise((resolve) => setTimeout(resolve, DELETION_POLL_MS));
  run(["sync", "-f", dataPath]);
}

function layerBytes(name: string): number {
  const manifest = JSON.parse(run(["skopeo", "inspect", "--raw", "--tls-verify=false", `docker://${name}`]));
  return manifest.layers.reduce((sum: number, { size }: { size: number }) => sum + size, 0);
}

function report(title: string, { goal, ms, cpuMs: cpu, registryMb, loads }: Samples): object {
  const meanLoad = loads.reduce((sum, load) => sum + load, 0) / loads.length;
  console.log(`${title}   (load ${meanLoad.toFixed(1)})`);
  const summaries = Object.entries(ms).map(([name, samples]) => {
    const [wall, processors] = [summarize(samples), summarize(cpu[name]!)];
    const bytes = registryMb[name] === undefined ? "" : `   ${registryMb[name].toFixed(1)} MB in the registry`;
    console.log(`  ${name.padEnd(8)} ${formatSummary(wall)}   CPU ${processors.p50Ms.toFixed(0)} ms${bytes}`);
    return [name, { wall, processors, ...(bytes && { registryMb: registryMb[name] }) }] as const;
  });
  const of = Object.fromEntries(summaries);
  if (of.docker === undefined) return of;
  const ratio = of.lighter!.wall.p50Ms / of.docker.wall.p50Ms;
  const cpuRatio = of.lighter!.processors.p50Ms / of.docker.processors.p50Ms;
  const verdict = `goal ≤ ${goal} ${ratio <= goal ? "met" : "MISSED"}`;
  console.log(`  lighter / docker = ${ratio.toFixed(3)}, ${verdict}; CPU ${cpuRatio.toFixed(3)}`);
  return { ...of, ratio, cpuRatio, meanLoad };
}

/** Measures the highest resident memory of the daemon alone, and with its workers. */
async function measureBig(folder: string, host: string) {
  const image = makeBigImage(folder, host);
  const lighter = await startLighter(folder);
  try {
    return await pullBig(lighter, image);
  } finally {
    await lighter.stop();
  }
}

async function pullBig(lighter: Engine, image: string) {
  const [daemon = 0] = lighter.daemonPids();
  const [program = "", ...args] = [...lighter.cli, "pull", "-q", image];
  const began = performance.now();
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
  const seconds = (performance.now() - began) / 1000;
  const [daemonMib, togetherMib] = [peak.daemonKib / 1024, peak.togetherKib / 1024];
  console.log(
    `big: ${seconds.toFixed(1)} s; daemon at most ${daemonMib.toFixed(1)} MiB, with its workers ${togetherMib.toFixed(1)} MiB; ` +
      `goal ≤ ${BIG_GOAL_MIB} MiB ${daemonMib <= BIG_GOAL_MIB ? "met" : "MISSED"}`,
  );
  return { seconds, daemonMib, togetherMib };
}

/** The process's resident memory; 0 if it has just ended. */
function residentOrZero(pid: number): number {
  try {
    return residentKib(pid);
  } catch {
    return 0;
  }
}

await main();
