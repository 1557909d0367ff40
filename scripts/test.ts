/**
 * `./test`: the checks, then every test file; as root also those on the kernel, here and, where ../shared/vm/vmrun is,
 * at the same time on a kernel with cgroup v2. The last line is "N passed, N failed[, N skipped]"; exit code 1 if a test failed
 * or none ran.
 *
 *   bun scripts/test.ts [WORD...]            files whose path contains one of the words (no checks)
 *   bun scripts/test.ts --inside FILE...     these files only, in the machine that vmrun booted
 */
import { spawn } from "node:child_process";
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
  type Tally,
} from "./test-files.ts";

async function main(args: string[]): Promise<void> {
  const total = noTests();
  if (args[0] === "--inside") {
    for (const path of args.slice(1)) add(total, await runTestFile(path));
    return report(total);
  }
  const files = findTestFiles(args);
  if (args.length === 0) add(total, runChecks());
  const inMachine = (path: string) => kindOf(path).name === "machine";
  const forAnybody = files.filter((path) => !kindOf(path).needsRoot);
  const onThisKernel = files.filter((path) => kindOf(path).needsRoot && !inMachine(path));
  const onCgroupV2 = files.filter(runsOnCgroupV2);
  // Beside the tests that look at this kernel, what shares nothing with them: also other kernels, in machines of their own.
  const beside = async () => {
    await runFiles(forAnybody, total);
    if (onCgroupV2.length > 0 && isRoot) add(total, await runOnCgroupV2(onCgroupV2));
    await runFiles(files.filter(inMachine), total);
  };
  await Promise.all([beside(), runFiles(onThisKernel, total)]);
  report(total);
}

/** A boot is 2-4 s, and what is slow here is slower there: half of this, where two processors have nothing else to do. */
const VM_TIMEOUT_S = 1100;
/** The scratch disk: the rest of the file system is an overlay there, which cannot be overlayfs's upperdir. */
const VM_SCRATCH = "/var/lib/lighter-test";

/** One boot for all files. What they say is shown, indented, when all have ended. */
async function runOnCgroupV2(files: readonly string[]): Promise<Tally> {
  const vmrun = join(root, "../shared/vm/vmrun");
  if (!existsSync(vmrun)) {
    const skipped = files.map(() => "on cgroup v2: no ../shared/vm/vmrun beside this checkout");
    return { ...noTests(), skipped };
  }
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
  const tally = noTests();
  let isWhole = false;
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(`      ${line}`);
    const [, count, reason] = /^skipped (\d+): (.*)$/.exec(line) ?? [];
    tally.skipped.push(...new Array<string>(Number(count ?? 0)).fill(`on cgroup v2: ${reason}`));
    const [, failure] = /^failed: (.*)$/.exec(line) ?? [];
    if (failure !== undefined) tally.failed.push(`on cgroup v2: ${failure}`);
    const [, passed] = /^(\d+) passed, \d+ failed/.exec(line) ?? [];
    if (passed !== undefined) {
      tally.passed = Number(passed);
      isWhole = true;
    }
  }
  const ended = await exited;
  console.log(lines.join("\n"));
  if (!isWhole || (ended !== "0" && tally.failed.length === 0 && tally.passed > 0))
    tally.failed.push(`the machine with cgroup v2 ended with ${ended}`);
  return tally;
}

if (import.meta.main) await main(process.argv.slice(2));
