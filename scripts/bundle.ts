/**
 * Bundles src/main.ts into one executable: `bun scripts/bundle.ts OUT BUN`, where BUN is the Bun to put it into.
 *
 * `lighter --version`, p50: 29 ms plain, 12 ms with bytecode, 8.5 ms if it is also split, so that a command loads only its own
 * modules. Minifying does not make it faster, and would hide names in stacks. (Bun with an empty program: 6 ms.)
 */
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { BunPlugin } from "bun";
import { buildFacts } from "./build-facts.ts";
import { findEntries } from "./entries.ts";

const root = join(import.meta.dirname, "..");

/**
 * The module that is loaded before all others of the command line. The bundler makes a chunk for each set of entries that reach a
 * module; each chunk costs a start 35 µs, and each name that leaves one 2 µs: the command line's `run` had 25 chunks. If all
 * entries reach a module, it is in one chunk. So each entry gets an unused export of this one, which loads most of what they
 * load.
 */
const CLI_FIRST = { "cli/commands/run.ts": "command" };

/**
 * The OCI runtime's modules, which are bundled a second time, apart from the other programs', so that modules shared with those
 * make no further chunks. Together with what the commands that start a process import on demand they are one chunk, which saves 1
 * to 3 ms each.
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
/** The suffix of the path of a module's second copy. */
const APART = "?oci";

const pathOf = (name: string) => join(root, "src", name);
const nameOf = (path: string) => path.slice(join(root, "src/").length);
/** Adds an export of each of these files to every other file. `exports`: one export of each. */
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

const [outfile = "", executablePath = ""] = process.argv.slice(2);
await Bun.build({
  entrypoints: [join(root, "src/main.ts")],
  target: "bun",
  format: "esm",
  splitting: true,
  bytecode: true,
  plugins: [chunks],
  define: buildFacts(),
  // Stacks of a built program show the project's files and lines; the map is read only when a stack is printed.
  sourcemap: "linked",
  compile: {
    outfile,
    executablePath,
    // A command ends before compiling its hot code would pay. The daemon resets this.
    jitPolicy: 100,
    // Otherwise a compiled program runs code from the current directory; `writeClosedBun` treats the environment.
    autoloadDotenv: false,
    autoloadBunfig: false,
  },
});
