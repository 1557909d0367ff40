/** `bun run check`: checks types, format and generated files, then runs the tests that need no root. Takes less than 30 s. */
import { spawnSync } from "node:child_process";
import { add, findTestFiles, kindOf, noTests, report, root, runFiles, type Tally } from "./test-files.ts";

const checks: readonly { name: string; command: string[] }[] = [
  { name: "types (tsc)", command: ["node_modules/.bin/tsc", "--noEmit"] },
  { name: "types on the small engine (tsc)", command: ["node_modules/.bin/tsc", "-p", "src/shims"] },
  { name: "types of the dashboard (tsc)", command: ["node_modules/.bin/tsc", "-p", "src/dashboard"] },
  {
    name: "format and lint (biome)",
    command: ["node_modules/.bin/biome", "check", "--colors=off", "--max-diagnostics=40", "."],
  },
  { name: "generated files are fresh", command: [process.execPath, "scripts/generate.ts", "--check"] },
];

/** Runs the checks. Each counts as one test. */
export function runChecks(): Tally {
  const tally = noTests();
  for (const { name, command } of checks) {
    const startMs = performance.now();
    const [program = "", ...args] = command;
    const done = spawnSync(program, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    const passed = done.status === 0;
    if (passed) tally.passed++;
    else {
      tally.failed.push(name);
      process.stdout.write(`${done.stdout ?? ""}${done.stderr ?? ""}${done.error?.message ?? ""}\n`);
    }
    console.log(`${passed ? "ok  " : "FAIL"}  ${name}: ${Math.round(performance.now() - startMs)} ms`);
  }
  return tally;
}

if (import.meta.main) {
  const total = runChecks();
  const unitTests = findTestFiles([]).filter((path) => kindOf(path).name === "unit");
  for (const tally of (await runFiles(unitTests)).values()) add(total, tally);
  report(total);
}
