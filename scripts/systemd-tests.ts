/**
 * Runs systemd's own unit tests (Debian's package systemd-tests) as root in a machine of Lighter, in its own user namespace, and in
 * a privileged one of LXC with the same root file system. Each test passes, fails, is skipped by itself, or is ended after a minute.
 * Prints what fails or is not the same in both, and fails itself if a test passes under LXC alone.
 *
 *   bun scripts/systemd-tests.ts [--root TAR] [--only WORD] [--without-lxc]
 *
 * Needs root, lxc, and (without --root) mmdebstrap, which it installs. `--root`: an archive of Debian with systemd and systemd-tests.
 */
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { ensurePackages, makeWorkFolder } from "../bench/support/engines.ts";
import {
  lighterMachines,
  lxcMachines,
  type Manager,
  makeMachineRoot,
  unpackMachineRoot,
} from "../bench/support/machines.ts";

type Result = "passed" | "skipped" | "failed" | "too slow";

const TESTS = "/usr/lib/systemd/tests/unit-tests";
/** In the machine: runs each test and prints its name and exit code. 77 is a test's word for "skipped". */
const RUNNER = `
cd /tmp
for test in ${TESTS}/test-*; do
  case $test in *"$1"*) ;; *) continue ;; esac
  timeout -k 5 60 "$test" >/tmp/output 2>&1 </dev/null
  echo "RESULT $(basename "$test") $?"
done`;

const { values } = parseArgs({
  options: {
    root: { type: "string" },
    only: { type: "string", default: "" },
    "without-lxc": { type: "boolean", default: false },
  },
});
const withLxc = !values["without-lxc"];
ensurePackages(...(withLxc ? ["lxc"] : []), ...(values.root ? [] : ["mmdebstrap"]));
const folder = makeWorkFolder();
try {
  const tarball = values.root ?? makeMachineRoot(folder.path, ["systemd-tests"]);
  const ours = await resultsOf(await lighterMachines(folder.path, tarball));
  const theirs = withLxc
    ? await resultsOf(await lxcMachines(folder.path, unpackMachineRoot(folder.path, tarball)))
    : new Map<string, Result>();
  console.log(`Lighter: ${countsOf(ours)}${withLxc ? `; LXC: ${countsOf(theirs)}` : ""}`);
  for (const [name, result] of ours)
    if (isFailure(result) || (withLxc && theirs.get(name) !== result))
      console.log(`${name}: ${result}${withLxc ? `, under LXC ${theirs.get(name)}` : ""}`);
  const lost = [...theirs].filter(([name, result]) => result === "passed" && ours.get(name) !== "passed");
  if (lost.length > 0) process.exitCode = 1;
} finally {
  folder.remove();
}

async function resultsOf(manager: Manager): Promise<Map<string, Result>> {
  const name = `${manager.name}-systemd-tests`;
  try {
    manager.create(name);
    await manager.start([name]);
    const [program = "", ...args] = manager.exec!(name, "/bin/sh", "-c", RUNNER, "sh", values.only);
    const { stdout } = spawnSync(program, args, { env: manager.env, encoding: "utf8", maxBuffer: 1 << 28 });
    await manager.stop(name);
    const lines = stdout.matchAll(/^RESULT (\S+) (\d+)\r?$/gm);
    return new Map([...lines].map(([, test = "", code]) => [test, resultOf(Number(code))]));
  } finally {
    await manager.close();
  }
}

function countsOf(results: ReadonlyMap<string, Result>): string {
  const count = (isWanted: (result: Result) => boolean) => [...results.values()].filter(isWanted).length;
  const [passed, skipped] = (["passed", "skipped"] as const).map((wanted) => count((result) => result === wanted));
  return `${passed} passed, ${skipped} skipped, ${count(isFailure)} failed`;
}

function isFailure(result: Result): boolean {
  return result === "failed" || result === "too slow";
}

function resultOf(code: number): Result {
  if (code === 124 || code === 137) return "too slow";
  return code === 0 ? "passed" : code === 77 ? "skipped" : "failed";
}
