/**
 * Bundles src/main.ts into one executable: `bun scripts/bundle.ts OUT BUN`, where BUN is the Bun to put it into.
 *
 * `lighter --version`, p50: 29 ms plain, 12 ms with bytecode, 8.5 ms split as well, so that a command loads its own
 * modules alone; no less when minified, which would hide names in stacks. (Bun with an empty program: 6 ms.)
 */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { BunPlugin } from "bun";

const root = join(import.meta.dirname, "..");

/**
 * The bundler makes a chunk for each set of entries that reach a module, and each chunk costs a start 35 µs: `run` had
 * 25. What comes `with` a command is loaded before all of `those`, or is what they load most of: if all of them reach it,
 * it is one chunk. So each gets an export of it that nobody uses.
 */
const CHUNKS = [
  { with: ["cli/commands/run.ts"], those: /^cli\// },
  { with: ["start", "kill", "delete", "state"].map((name) => `oci/commands/${name}.ts`), those: /^oci\/commands\// },
];

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

const together: BunPlugin = {
  name: "together",
  setup(build) {
    const entries = findEntries();
    build.onLoad({ filter: /\/src\/(cli|oci)\/.*\.ts$/ }, ({ path }) => {
      const contents = readFileSync(path, "utf8");
      const name = path.slice(join(root, "src/").length);
      const companions = CHUNKS.filter(({ those }) => entries.has(name) && those.test(name))
        .flatMap((chunk) => chunk.with)
        .filter((companion) => companion !== name)
        .map(
          (companion, i) =>
            `\nexport { command as together${i} } from ${JSON.stringify(join(root, "src", companion))};`,
        );
      return { contents: contents + companions.join(""), loader: "ts" };
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
  plugins: [together],
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
