/**
 * `bun scripts/fuzz-launcher.ts [SECONDS]`: fuzzes the launcher for longer than ./test does (default: ten minutes). It uses
 * clang's libFuzzer, which is guided by coverage, if clang exists; otherwise the mutator of launcher/tests/fuzz.c. libFuzzer
 * leaves its findings in the current directory as crash-…
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeCorpus } from "../tests/support/launcher-corpus.ts";

const root = join(import.meta.dirname, "..");
const seconds = process.argv[2] ?? "600";
const directory = mkdtempSync(join(tmpdir(), "lighter-fuzz-"));

function run(command: string, args: string[]): number {
  console.log([command, ...args].join(" "));
  return spawnSync(command, args, { stdio: "inherit" }).status ?? 1;
}

try {
  const corpus = join(directory, "corpus");
  mkdirSync(corpus);
  const programs = writeCorpus(corpus);
  const binary = join(directory, "fuzz");
  const source = join(root, "launcher/tests/fuzz.c");
  const flags = ["-std=c11", "-g", "-O1", "-fno-sanitize-recover=all", "-o", binary, source];
  const clang = Bun.which("clang") !== null;
  const built = clang
    ? run("clang", ["-fsanitize=fuzzer,address,undefined", "-DLIBFUZZER", ...flags])
    : run(process.env.CC ?? "cc", ["-fsanitize=address,undefined", ...flags]);
  if (built !== 0) process.exitCode = built;
  else
    process.exitCode = clang
      ? run(binary, [`-max_total_time=${seconds}`, "-max_len=65536", corpus])
      : run(binary, [String(Math.floor(Math.random() * 2 ** 32)), seconds, ...programs]);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
