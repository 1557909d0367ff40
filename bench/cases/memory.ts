/**
 * What Lighter's daemon keeps of the memory that work has needed: all loads of the other cases against one daemon, one after another, and
 * its resident memory a minute after the last.
 *
 *   bun bench/cases/memory.ts [--containers 500] [--size 300] [--files 20000] [--save bench/baselines/NAME.json]
 *
 * Needs root; without docker-registry and skopeo nothing is pushed. What was found is in memory.md.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { run } from "../support/commands.ts";
import { cpuMs } from "../support/cpu.ts";
import { type Engine, makeWorkFolder, residentKib, startLighter } from "../support/engines.ts";
import { makeArchiveImage, startRegistry } from "../support/images.ts";
import { saveBaseline } from "../support/save.ts";

const GOAL_MIB = 80;
const REST_MS = 60_000;
/** How many containers are there at the same time. */
const TOGETHER = 10;
const REPEATS = 3;

interface Step {
  title: string;
  act: () => void;
}

function makeFiles(folder: string, sizeMb: number, count: number): void {
  run(["dd", "if=/dev/urandom", `of=${join(folder, "large")}`, "bs=1M", `count=${sizeMb}`, "status=none"]);
  for (let i = 0; i < count; i++) {
    const directory = join(folder, "many", `${i % 100}`);
    if (i < 100) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `${i}`), "some text\n".repeat(i % 400));
  }
}

function stepsFor({ cli, env }: Engine, folder: string, host: string | undefined, containers: number): Step[] {
  const image = makeArchiveImage(folder, 300, host);
  const lighter = (...args: string[]) => run([...cli, ...args], env);
  const repeat = (act: () => void) => () => {
    for (let i = 0; i < REPEATS; i++) act();
  };
  const cp = () => {
    for (const name of ["large", "many"]) {
      lighter("cp", join(folder, name), "bench:/");
      lighter("cp", `bench:/${name}`, join(folder, "out"));
      run(["rm", "-r", join(folder, "out")]);
    }
  };
  const push = () => {
    lighter("tag", image.name, `${host}/bench/memory:1`);
    lighter("push", "-q", `${host}/bench/memory:1`);
  };
  const comeAndGo = () => {
    for (let i = 0; i < containers; i += TOGETHER) {
      const names = Array.from({ length: TOGETHER }, (_, index) => `come-${i + index}`);
      for (const name of names) lighter("run", "-d", "--network", "none", "--name", name, image.name);
      lighter("rm", "-f", ...names);
    }
  };
  return [
    {
      title: "load and rmi",
      act: repeat(() => {
        lighter("load", "-q", "-i", image.archive);
        lighter("rmi", image.name);
      }),
    },
    { title: "load", act: () => lighter("load", "-q", "-i", image.archive) },
    ...(host === undefined ? [] : [{ title: "push", act: push }]),
    {
      title: "cp",
      act: () => {
        lighter("run", "-d", "--network", "none", "--name", "bench", image.name);
        repeat(cp)();
        lighter("rm", "-f", "bench");
      },
    },
    { title: `${containers} containers`, act: comeAndGo },
  ];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      containers: { type: "string", default: "500" },
      size: { type: "string", default: "300" },
      files: { type: "string", default: "20000" },
      save: { type: "string" },
    },
  });
  const folder = makeWorkFolder();
  await using undo = new AsyncDisposableStack();
  undo.defer(() => folder.remove());
  const hasRegistry = ["docker-registry", "skopeo"].every((name) => spawnSync("which", [name]).status === 0);
  if (!hasRegistry) console.log("push: [skipped: docker-registry and skopeo are not installed]");
  const registry = hasRegistry ? await startRegistry(folder.path) : undefined;
  undo.defer(() => registry?.stop());
  makeFiles(folder.path, Number(values.size), Number(values.files));
  const lighter = await startLighter(folder.path);
  undo.defer(() => lighter.stop());
  const [daemon = 0] = lighter.daemonPids();
  const results: Record<string, object> = {};
  const note = (title: string) => {
    const [mib, cpuSeconds] = [residentKib(daemon) / 1024, cpuMs(lighter) / 1000];
    results[title] = { mib, cpuSeconds, load: loadavg()[0] };
    console.log(
      `${title.padEnd(24)} ${mib.toFixed(1)} MiB   CPU ${cpuSeconds.toFixed(1)} s   load ${loadavg()[0]!.toFixed(1)}`,
    );
    return mib;
  };
  note("new");
  for (const { title, act } of stepsFor(lighter, folder.path, registry?.host, Number(values.containers))) {
    act();
    note(title);
  }
  await Bun.sleep(REST_MS);
  const mib = note("a minute after");
  console.log(`goal ≤ ${GOAL_MIB} MiB ${mib <= GOAL_MIB ? "met" : "MISSED"}`);
  if (values.save) saveBaseline(values.save, results);
}

await main();
