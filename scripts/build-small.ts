/**
 * Builds the program of the short commands: `bun scripts/build-small.ts OUT [ENTRY] [--target=arm64]`. Its parts are made beside OUT:
 * `compile`, which makes bytecode of the bundle, and `host`, which evaluates it and writes OUT, a copy of itself with all modules in
 * it. Both are programs of the machine that is built for.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { compilerCommand, compilersForGlibc } from "./c-compiler.ts";
import { distOf, findQuickJs, machineOf } from "./machine.ts";

const root = join(import.meta.dirname, "..");
const { values, positionals } = parseArgs({ options: { target: { type: "string" } }, allowPositionals: true });
const [out = "", entry = "src/small.ts"] = positionals;
const machine = machineOf(values.target);
const made = (name: string) => join(dirname(out), name);

/** Addresses are in the image, so the program is linked at fixed ones. */
const FLAGS = [
  ..."-std=c11 -O2 -static -no-pie -fno-pie -Wall -Wextra -Werror".split(" "),
  ..."-ffunction-sections -fdata-sections -Wl,--gc-sections -Wl,--build-id=none -s".split(" "),
];

function run(...[program = "", ...args]: string[]): void {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) throw new Error(`${program} ${args[0]}: ${error?.message ?? status}`);
}

const found = findQuickJs(machine);
if (found === undefined)
  throw new Error(`no libquickjs found for ${machine.triplet}\non Debian: apt-get install libquickjs`);
// The library is made for glibc.
const compiler =
  compilersForGlibc(machine)
    .map(compilerCommand)
    .find((each) => each) ?? [];
const compileC = (name: string, sources: readonly string[], ...flags: string[]) =>
  run(...compiler, ...FLAGS, ...found.flags, ...flags, "-o", made(name), ...sources, found.library, "-lm");

if (!existsSync(made("host"))) {
  // Otherwise another program has been built here.
  const sources = globSync("host/*.c", { cwd: root }).sort();
  compileC("compile", ["host/compile.c"]);
  compileC(
    "host",
    sources.filter((path) => path !== "host/compile.c"),
    "-Wl,--wrap=gettimeofday", // an image must not depend on when it was made
  );
}
run(process.execPath, "scripts/bundle-small.ts", made("bundle.js"), entry, join(distOf(machine), "launcher"));
run(...machine.emulator, made("compile"), made("bundle.js"), made("bytecode"));
run(...machine.emulator, made("host"), "--write-image", made("bytecode"), out);
