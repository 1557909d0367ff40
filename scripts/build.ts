/**
 * Builds the files of `dist/`, each only when something it is made from has changed:
 *
 *   dist/launcher         the launcher, static
 *   dist/launcher-test    the same with -DLAUNCHER_FAULTS: ops can be told to fail
 *   dist/lighter-runtime  the OCI runtime: short commands by itself, all others by dist/lighter
 *   dist/hello            the program of the embedded image `hello`
 *   dist/init             the init of `run --init`
 *   dist/dashboard        the dashboard's page, minified and compressed
 *   dist/lighterd         everything in one executable, on Bun
 *   dist/lighterd-test    the same with tests/support/crash-at.ts: it can be told to die at a write point; only with --tests
 *   dist/lighter          the short commands on the small engine, all others by dist/lighterd; without libquickjs a link to that
 *
 * With --target=arm64 (or x64) it builds the programs that need no Bun for that architecture, into `dist/arm64/`, which takes Debian's
 * cross compiler and an emulator.
 *
 * With --check it builds nothing, and fails if there is something to build. `dist/.stamp` has the digests of the inputs. Its
 * mtime is the time when the last build *began*, so that a file saved during a build is newer; `./lighter` asks find(1) for files
 * newer than it.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  globSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { C_FLAGS, compilerCommand, compilersToLookFor, launcherSources, runtimeSources } from "./c-compiler.ts";
import { distOf, findQuickJs, machineOf } from "./machine.ts";

const root = join(import.meta.dirname, "..");
const { values: flags } = parseArgs({
  options: {
    force: { type: "boolean" },
    check: { type: "boolean" },
    tests: { type: "boolean" },
    target: { type: "string" },
  },
});
const machine = machineOf(flags.target);
const dist = distOf(machine);
const stampPath = join(dist, ".stamp");

/** hello has no libc, no unwinder, no relocations, and two segments that share pages: about 6 KB. */
const HELLO_FLAGS = [
  ..."-nostdlib -ffreestanding -fno-pie -fno-stack-protector".split(" "),
  ..."-fno-asynchronous-unwind-tables -fno-unwind-tables".split(" "),
  ..."-Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,max-page-size=4096".split(" "),
];
const PIECE_BYTES = 512 * 1024;

interface Target {
  /** The file's name in dist/. */
  name: string;
  /** The files that decide whether it is fresh, relative to the checkout. */
  inputs: string[];
  /** The argument vector of the command that writes it to `outPath`. Never run for a fresh target. */
  command: (outPath: string) => string[];
  /** Finishes and checks what was built. @throws BuildError if it is not good. */
  finish?: (outPath: string) => void;
  /** What to say once it is built. */
  advice?: string;
}

class BuildError extends Error {}

const compilers = compilersToLookFor(machine, machine.isThis ? process.env.CC : "");
/** $CC if that is set, otherwise the first compiler that exists. */
const foundCompiler = compilers.map(compilerCommand).find((command) => command !== undefined);

function main({ force = false, check = false }: typeof flags): void {
  const began = new Date();
  mkdirSync(dist, { recursive: true });
  const stamp = force ? {} : readStamp();
  for (const target of targets()) {
    const path = join(dist, target.name);
    const isThere = existsSync(path);
    if (check && !isThere) throw new BuildError(`${relative(root, path)} is not there: ${BUILD_IT}`);
    const digest = digestOf(target);
    if (stamp[target.name] === digest && isThere) continue;
    if (check) throw new BuildError(`${relative(root, path)} was made from other sources than are here: ${BUILD_IT}`);
    const startMs = performance.now();
    build(target, path);
    stamp[target.name] = digest;
    writeStamp(stamp, new Date(0)); // the finished targets stay fresh, but `./lighter` must come back for the rest
    const sizeBytes = statSync(path).size;
    console.error(
      `built ${relative(root, path)}: ${formatSize(sizeBytes)}, ${Math.round(performance.now() - startMs)} ms`,
    );
    if (target.advice !== undefined) console.error(target.advice);
  }
  if (!check) writeStamp(stamp, began);
}

/** Bun's program, which src/shims/hand-over.ts looks for. */
const DAEMON = "lighterd";
const BUILD_IT = "`npm run build` makes what tests run";

function targets(): Target[] {
  const launcherC = files("launcher/*.c");
  if (launcherC.length === 0) throw new BuildError("launcher/ holds no C files: is the checkout complete?");
  const launcher = (name: string, defines: string[], sources: readonly string[]): Target => ({
    name,
    inputs: files("launcher/*.{c,h}"),
    command: (outPath) => [...compiler(), ...C_FLAGS, ...defines, "-o", outPath, ...sources],
  });
  const withoutBun = [
    launcher("launcher", [], launcherSources(launcherC)),
    launcher("lighter-runtime", [], runtimeSources(launcherC)),
  ];
  if (!machine.isThis) return [...withoutBun, commands()];
  return [
    ...withoutBun,
    launcher("launcher-test", ["-DLAUNCHER_FAULTS"], launcherSources(launcherC)),
    {
      name: "hello",
      inputs: ["hello/hello.c"],
      command: (outPath) => [...compiler(), ...C_FLAGS, ...HELLO_FLAGS, "-o", outPath, "hello/hello.c"],
    },
    {
      name: "init",
      inputs: ["init/init.c"],
      command: (outPath) => [...compiler(), ...C_FLAGS, "-o", outPath, "init/init.c"],
    },
    dashboard(),
    bunProgram(DAEMON, "src/main.ts"),
    ...(flags.tests ? [bunProgram(`${DAEMON}-test`, "tests/support/daemon-main.ts", "tests/support/crash-at.ts")] : []),
    findQuickJs(machine) === undefined ? linkToDaemon : commands(),
  ];
}

/** Bun with all sources, and its first file; `more` are imported by that. */
function bunProgram(name: string, entry: string, ...more: string[]): Target {
  return {
    name,
    inputs: [
      ...files("src/**/*.*").filter((path) => !path.endsWith(".test.ts")),
      ...["scripts/bundle.ts", "scripts/build-facts.ts", "dist/dashboard", "dist/launcher", "dist/hello", "dist/init"],
      ...["package.json", "package-lock.json", "tsconfig.json", entry, ...more],
    ],
    command: (outPath) => {
      const closedBun = join(dirname(outPath), "bun");
      writeClosedBun(closedBun);
      return [process.execPath, "scripts/bundle.ts", entry, outPath, closedBun];
    },
    finish: (outPath) => {
      writeInPieces(outPath);
      checkThatItRuns(outPath);
    },
  };
}

function dashboard(): Target {
  return {
    name: "dashboard",
    inputs: [
      ...files("src/dashboard/**/*.*").filter((path) => !path.endsWith(".test.ts")),
      ...["src/spec/dashboard.ts", "scripts/bundle-dashboard.ts", "package.json", "package-lock.json"],
    ],
    command: (outPath) => {
      if (!existsSync(join(root, "node_modules/preact")))
        throw new BuildError('node_modules/ lacks what package-lock.json lists: "npm install" adds it');
      return [process.execPath, "scripts/bundle-dashboard.ts", outPath];
    },
  };
}

/** The command line without a small engine. */
const linkToDaemon: Target = {
  name: "lighter",
  inputs: [],
  command: (outPath) => ["ln", "-s", DAEMON, outPath],
  advice:
    "each command would start in a millisecond instead of ten, with libquickjs\non Debian: apt-get install libquickjs",
};

function commands(): Target {
  return {
    name: "lighter",
    inputs: [
      ...files("src/**/*.*").filter((path) => !path.endsWith(".test.ts")),
      ...files("host/*"),
      ...files("scripts/{build-small,bundle-small,build-facts,entries,positions}.ts"),
      ...[relative(root, join(dist, "launcher")), "package.json", "package-lock.json", "tsconfig.json"],
    ],
    command: (outPath) => [process.execPath, "scripts/build-small.ts", outPath, `--target=${machine.arch}`],
    finish: checkThatItRuns,
  };
}

/**
 * The variables by which a program that Bun compiled runs any code, or the beginnings of their names. The code runs before the
 * program's own (BUN_OPTIONS=--preload=…), from the current directory by the `bun` command (BUN_BE_BUN=1), or from a debugger
 * that Bun listens for or connects to (BUN_INSPECT, BUN_INSPECT_CONNECT_TO). Other variables overwrite any file
 * (BUN_BYTECODE_…_OUT). No flag of the build turns them off, and the program's first line is too late.
 */
const CODE_VARIABLES = ["BUN_OPTIONS", "BUN_BE_BUN", "BUN_INSPECT", "BUN_BYTECODE_"];

/**
 * The code that finds the engine's own options, among them functions' bodies from a file (BUN_JSC_functionOverrides) and files to
 * write. Bun does not contain their prefix as text, but compares it byte by byte: "B", then "U" at the next offset. If the "U" is
 * read at the offset of the "B", no variable has the prefix. This is for x86-64 only: elsewhere the comparison consists of other
 * instructions.
 */
const ENGINE_PREFIX_CODE = /\x80[\x38-\x3f]B.{2,8}\x80[\x78-\x7f]\x01U(?=.{2,8}\x80[\x78-\x7f]\x02N)/gs;

/**
 * Writes a copy of Bun in which those variables' names are empty: no variable has such a name, so none is found. That costs
 * nothing at run time, unlike a program in front that cleans the environment.
 */
function writeClosedBun(path: string): void {
  const bun = readFileSync(process.execPath);
  for (const name of CODE_VARIABLES) {
    let at = bun.indexOf(name);
    if (at === -1) throw new BuildError(`Bun ${Bun.version} does not know ${name}: how does it run other code now?`);
    for (; at !== -1; at = bun.indexOf(name, at + 1)) bun[at] = 0;
  }
  if (process.arch === "x64") {
    const [found, ...more] = bun.toString("latin1").matchAll(ENGINE_PREFIX_CODE);
    if (!found || more.length > 0) throw new BuildError(`Bun ${Bun.version} looks for BUN_JSC_ in another way`);
    bun[found.index + found[0].length - 2] = 0;
  }
  writeFileSync(path, bun, { mode: 0o755 });
}

/**
 * Writes a file in pieces of a chosen size. The kernel caches a file in the pieces in which it was written (on a file system with
 * large folios), and maps it in such pieces: with large ones a command starts half a millisecond sooner. All of a piece counts as
 * resident: with 2 MiB, which would save another half, an idle daemon had 65 MB instead of 47.
 */
function writeInPieces(path: string): void {
  const bytes = readFileSync(path);
  rmSync(path); // a file that is overwritten keeps its old pieces
  const fd = openSync(path, "w", 0o755);
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    writeSync(fd, bytes, at, Math.min(PIECE_BYTES, bytes.length - at));
  closeSync(fd);
}

/** Runs the program once: if sources change while Bun reads them, it may make a program that crashes at its start. */
function checkThatItRuns(outPath: string): void {
  const [program = "", ...args] = [...machine.emulator, outPath, "--version"];
  const { status, signal } = spawnSync(program, args, { stdio: "ignore" });
  if (status !== 0)
    throw new BuildError(`${basename(outPath)} was built and does not run (${signal ?? status}): build again`);
}

function compiler(): string[] {
  if (foundCompiler !== undefined) return foundCompiler;
  const looked = compilers.map((command) => `"${command.split(" ")[0]}"`);
  throw new BuildError(
    `no C compiler found: looked for ${looked.join(", ")}\non Debian: apt-get install gcc libc6-dev`,
  );
}

/** Builds in a folder beside `path`, then renames: whoever runs the old file keeps it, and a failed build leaves it unchanged. */
function build(target: Target, path: string): void {
  const folder = `${path}.${process.pid}.new`; // no other build uses it: two builds in one folder make a program that crashes
  mkdirSync(folder);
  try {
    const outPath = join(folder, target.name);
    compile(target, outPath);
    target.finish?.(outPath);
    renameSync(outPath, path);
  } finally {
    rmSync(folder, { recursive: true }); // including copies of the source maps, which are embedded
  }
}

function compile(target: Target, outPath: string): void {
  const [program = "", ...args] = target.command(outPath);
  const done = spawnSync(program, args, { cwd: root, encoding: "utf8" });
  if (done.status !== 0) {
    const said = `${done.stderr ?? ""}${done.stdout ?? ""}${done.error?.message ?? ""}`.trim();
    const headers = /cannot find -lc\b|fatal error: [\w/]+\.h: No such file|'[\w/]+\.h' file not found/.test(said);
    const hint = headers ? "\non Debian: apt-get install libc6-dev" : "";
    throw new BuildError(
      `${relative(root, dist)}/${target.name} does not build:\n${[program, ...args].join(" ")}\n${said}${hint}`,
    );
  }
}

/** The digest of the inputs' names and bytes, this script, Bun's version and the compiler's command. */
function digestOf(target: Target): string {
  const hash = createHash("sha256").update(`${Bun.version} ${foundCompiler?.join(" ")} ${machine.arch}\n`);
  for (const input of ["scripts/build.ts", "scripts/c-compiler.ts", "scripts/machine.ts", ...target.inputs]) {
    const bytes = readFileSync(join(root, input));
    hash.update(`${input} ${bytes.length}\n`).update(bytes);
  }
  return hash.digest("hex");
}

function files(pattern: string): string[] {
  return globSync(pattern, { cwd: root })
    .filter((path) => statSync(join(root, path)).isFile())
    .sort();
}

/** Reads the stamp. If it is unreadable, everything is built. */
function readStamp(): Record<string, string> {
  try {
    const stamp: unknown = JSON.parse(readFileSync(stampPath, "utf8"));
    return typeof stamp === "object" && stamp !== null ? { ...(stamp as Record<string, string>) } : {};
  } catch {
    return {};
  }
}

function writeStamp(stamp: Record<string, string>, mtime: Date): void {
  writeFileSync(`${stampPath}.new`, `${JSON.stringify(stamp, null, 2)}\n`);
  utimesSync(`${stampPath}.new`, mtime, mtime);
  renameSync(`${stampPath}.new`, stampPath);
}

function formatSize(bytes: number): string {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e3).toFixed(1)} KB`;
}

try {
  main(flags);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
