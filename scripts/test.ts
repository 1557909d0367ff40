/**
 * `./test`: runs the checks, then every test file. As root it also runs tests on the kernel, both here and, if ../shared/vm/vmrun
 * exists, at the same time on a kernel with cgroup v2. The last line is "N passed, N failed[, N skipped]"; the exit code is 1 if
 * a test failed or none ran.
 *
 *   bun scripts/test.ts [WORD...]            files whose path contains one of the words (no checks)
 *   bun scripts/test.ts --inside FILE...     these files only, in the machine that vmrun booted
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runChecks } from "./check.ts";
import {
  add,
  findTestFiles,
  isRoot,
  kindOf,
  noTests,
  report,
  root,
  runFiles,
  runsOnCgroupV2,
  runTestFile,
  type Tallies,
  type Tally,
  tryAgain,
} from "./test-files.ts";

async function main(args: string[]): Promise<void> {
  if (args[0] === "--inside") return runInside(args.slice(1));
  const files = findTestFiles(args);
  // Without a fresh build they would run an older launcher, which refuses programs of this version, or test code that no longer
  // exists.
  if (files.some((path) => kindOf(path).needsRoot) && !isBuilt()) process.exit(1);
  const total = args.length === 0 ? runChecks() : noTests();
  const inMachine = (path: string) => kindOf(path).name === "machine";
  const forAnybody = files.filter((path) => !kindOf(path).needsRoot);
  const onThisKernel = files.filter((path) => kindOf(path).needsRoot && !inMachine(path));
  const onCgroupV2 = isRoot ? files.filter(runsOnCgroupV2) : [];
  // The work that runs beside the tests on this kernel and shares nothing with them: other kernels, in their own machines.
  const beside = async () => {
    const anybodys = await runFiles(forAnybody);
    const there = await runOnCgroupV2(onCgroupV2);
    return { there, here: new Map([...anybodys, ...(await runFiles(files.filter(inMachine)))]) };
  };
  const [{ there, here }, alsoHere] = await Promise.all([beside(), runFiles(onThisKernel)]);
  for (const [path, tally] of alsoHere) here.set(path, tally);
  const unstable =
    args.length === 0 ? [...(await tryAgain(here, runFiles)), ...(await tryAgain(there, runOnCgroupV2))] : [];
  for (const tally of [...here.values(), ...there.values()]) add(total, tally);
  report(total, unstable);
}

/** Whether the build is fresh; prints why it is not. */
function isBuilt(): boolean {
  return (
    spawnSync(process.execPath, [join(root, "scripts/build.ts"), "--check", "--tests"], { stdio: "inherit" }).status ===
    0
  );
}

/** The beginning of a line in which the machine reports a file's tally as JSON. */
const TALLY_LINE = "tally: ";

async function runInside(files: readonly string[]): Promise<void> {
  for (const path of files) console.log(`${TALLY_LINE}${JSON.stringify([path, await runTestFile(path)])}`);
}

/** The tally in a line; undefined for any other line, also one that was cut off when the machine ended. */
function tallyOf(line: string): [path: string, Tally] | undefined {
  if (!line.startsWith(TALLY_LINE)) return undefined;
  try {
    const [path, { passed, failed, skipped }] = JSON.parse(line.slice(TALLY_LINE.length)) as [string, Tally];
    const there = (text: string) => `on cgroup v2: ${text}`;
    return [path, { passed, failed: failed.map(there), skipped: skipped.map(there) }];
  } catch {
    return undefined;
  }
}

/**
 * The limit for the machine. A boot takes 2-4 s, and slow tests are slower there: all takes half of this beside the tests on this
 * kernel.
 */
const VM_TIMEOUT_S = 2700;
/** The path of the scratch disk: the machine's other file systems are overlays, which cannot hold overlayfs's upperdir. */
const VM_SCRATCH = "/var/lib/lighter-test";

/**
 * Runs all files after a single boot. Their output is shown, indented, when all have ended. A file without a report has failed.
 */
async function runOnCgroupV2(files: readonly string[]): Promise<Tallies> {
  const vmrun = join(root, "../shared/vm/vmrun");
  if (!existsSync(vmrun)) {
    const skipped = ["on cgroup v2: no ../shared/vm/vmrun beside this checkout"];
    return new Map(files.map((path) => [path, { ...noTests(), skipped }]));
  }
  if (files.length === 0) return new Map();
  const lines = [`on cgroup v2, another kernel (${vmrun}):`];
  const options = ["--timeout", `${VM_TIMEOUT_S}`, "--disk", `${VM_SCRATCH}:2G`];
  const command = [process.execPath, join(root, "scripts/test.ts"), "--inside", ...files];
  const child = spawn(vmrun, [...options, "--", ...command], {
    cwd: root,
    env: { ...process.env, LIGHTER_TEST_DIR: VM_SCRATCH },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => resolve(`${signal ?? code}`));
  });
  const tallies: Tallies = new Map();
  for await (const line of createInterface({ input: child.stdout })) {
    const [path, tally] = tallyOf(line) ?? [];
    if (path !== undefined && tally !== undefined) tallies.set(path, tally);
    else lines.push(`      ${line}`);
  }
  const ended = await exited;
  console.log(lines.join("\n"));
  for (const path of files)
    if (!tallies.has(path))
      tallies.set(path, { ...noTests(), failed: [`on cgroup v2: ${path}: the machine ended before, with ${ended}`] });
  return tallies;
}

if (import.meta.main) await main(process.argv.slice(2));
