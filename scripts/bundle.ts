/**
 * Bundles src/main.ts into one executable: `bun scripts/bundle.ts OUT BUN`, where BUN is the Bun to put it into.
 *
 * `lighter --version`, p50: 29 ms plain, 12 ms with bytecode, 8.5 ms split as well, so that a command loads its own
 * modules alone; no less when minified, which would hide names in stacks. (Bun with an empty program: 6 ms.)
 */
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { BunPlugin } from "bun";

const root = join(import.meta.dirname, "..");

/**
 * The bundler makes a chunk for each set of entries that reach a module, and each chunk costs a start 35 µs, each name that
 * leaves one 2 µs: the command line's `run` had 25 chunks. This is loaded before all of the command line's, or is what they load
 * most of: if all of them reach it, it is one chunk. So each gets an export of it that nobody uses.
 */
const CLI_FIRST = { "cli/commands/run.ts": "command" };

/**
 * The OCI runtime's modules are bundled a second time, apart from the other programs', so that what these share does not
 * make chunks of them. With what the commands that start a process import on demand they are one chunk: 1 to 3 ms less for each.
 */
const OCI = {
  main: { "oci/main.ts": "ociMain" },
  with: {
    "oci/commands/create.ts": "command",
    "oci/commands/run.ts": "command",
    "oci/filter-cache.ts": "rememberFilter",
    "runtime/mod.ts": "createRuntime",
    "runtime/stand-in.ts": "openStandIn",
  },
};
/** Ends the path of a module's second copy. */
const APART = "?oci";

/** Files that some file imports when it needs them, relative to src/: where the bundler begins a chunk. */
function findEntries(): Set<string> {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const entries = new Set<string>();
  for (const path of globSync("src/**/*.ts", { cwd: root })) {
    if (path.endsWith(".test.ts")) continue;
    for (const { kind, path: target } of transpiler.scanImports(readFileSync(join(root, path), "utf8")))
      if (kind === "dynamic-import" && target.startsWith("."))
        entries.add(resolve(root, dirname(path), target).slice(join(root, "src/").length));
  }
  return entries;
}

const pathOf = (name: string) => join(root, "src", name);
const nameOf = (path: string) => path.slice(join(root, "src/").length);
/** `exports`: one of each file's, other than that of the file they are added to. */
const reach = (exports: Readonly<Record<string, string>>) =>
  Object.entries(exports)
    .map(([name, each], i) => `\nexport { ${each} as reached${i} } from ${JSON.stringify(pathOf(name))};`)
    .join("");

const chunks: BunPlugin = {
  name: "chunks",
  setup(build) {
    const entries = findEntries();
    build.onLoad({ filter: /\/src\/cli\/.*\.ts$/ }, ({ path }) => {
      const name = nameOf(path);
      const reached = entries.has(name) && !(name in CLI_FIRST) ? CLI_FIRST : {};
      return { contents: readFileSync(path, "utf8") + reach(reached), loader: "ts" };
    });
    build.onResolve({ filter: /^[./].*\.ts$/ }, ({ path, importer }) => {
      const target = resolve(dirname(importer), path);
      const isApart = importer.endsWith(APART) || nameOf(target) in OCI.main;
      return isApart && target !== pathOf("embedded.ts") ? { path: target + APART } : undefined;
    });
    build.onLoad({ filter: /\?oci$/ }, ({ path: given }) => {
      const path = given.slice(0, -APART.length);
      const name = nameOf(path);
      const reached = name in OCI.main ? OCI.with : entries.has(name) ? OCI.main : {};
      return { contents: readFileSync(path, "utf8") + reach(reached), loader: "ts" };
    });
  },
};

/** What git says, or "" outside of a checkout, as in an unpacked tarball. */
function git(...args: string[]): string {
  const { status, stdout } = spawnSync("git", args, { cwd: root });
  return status === 0 ? stdout.toString().trim() : "";
}

/** The commit's own time, so that a commit gives the same bytes each time, or the time of the build where files differ from it. */
function buildTime(commit: string): string {
  const { SOURCE_DATE_EPOCH = "" } = process.env; // reproducible-builds.org
  const isCommit = commit !== "" && !commit.endsWith("-dirty");
  const seconds = SOURCE_DATE_EPOCH || (isCommit ? git("log", "-1", "--format=%ct") : "");
  return (seconds === "" ? new Date() : new Date(Number(seconds) * 1000)).toISOString().replace(/\.\d+/, "");
}

const commit = git("describe", "--always", "--dirty", "--exclude", "*");
const [outfile = "", executablePath = ""] = process.argv.slice(2);
await Bun.build({
  entrypoints: [join(root, "src/main.ts")],
  target: "bun",
  format: "esm",
  splitting: true,
  bytecode: true,
  plugins: [chunks],
  define: { BUILD_COMMIT: JSON.stringify(commit), BUILD_TIME: JSON.stringify(buildTime(commit)) },
  // Stacks of a built program show our own files and lines; it is read only when there is one to print.
  sourcemap: "linked",
  compile: {
    outfile,
    executablePath,
    // A command is over before compiling its hot code pays. The daemon sets that back.
    jitPolicy: 100,
    // Else a compiled program runs code from the current directory; see `writeClosedBun` for what it obeys in the environment.
    autoloadDotenv: false,
    autoloadBunfig: false,
  },
});
