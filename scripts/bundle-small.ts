/**
 * Bundles src/small.ts, or another entry, into one JavaScript module for the small engine: `bun scripts/bundle-small.ts OUT ENTRY
 * LAUNCHER`. The names of Node and Bun lead to src/shims, and the modules that commands import on demand are evaluated with all others:
 * the result is kept.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { BunPlugin } from "bun";
import shims from "../src/shims/tsconfig.json" with { type: "json" };
import { buildFacts } from "./build-facts.ts";
import { reachedOnDemand } from "./entries.ts";
import { packPositions } from "./positions.ts";

const root = join(import.meta.dirname, "..");
/** The types of the sources are checked against the very modules that stand for Node's. */
const paths: Readonly<Record<string, readonly string[]>> = shims.compilerOptions.paths;

/** What the short commands consist of, with all that these import. */
const SHORT_COMMANDS = ["cli/mod.ts", "oci/main.ts"];

const plugin: BunPlugin = {
  name: "small engine",
  setup(build) {
    build.onResolve({ filter: /^(node|bun):/ }, ({ path, importer }) => {
      const [target] = paths[path] ?? [];
      if (target === undefined) throw new Error(`${importer} imports ${path}, which src/shims does not have`);
      return { path: join(root, "src/shims", target) };
    });
    build.onLoad({ filter: /\/src\/embedded\.ts$/ }, () => ({
      contents: `
        import { embed } from "./shims/embedded.ts";
        export const launcherPath = embed("launcher", Buffer.from(${JSON.stringify(
          readFileSync(launcherPath).toString("base64"),
        )}, "base64"));`,
      loader: "ts",
    }));
    build.onLoad({ filter: /\/src\/small\.ts$/ }, ({ path }) => ({
      contents:
        readFileSync(path, "utf8") +
        reachedOnDemand(SHORT_COMMANDS)
          .map((name) => `\nimport ${JSON.stringify(`./${name}`)};`)
          .join(""),
      loader: "ts",
    }));
  },
};

const [out = "", entry = "", launcherPath = ""] = process.argv.slice(2);
const built = await Bun.build({
  entrypoints: [resolve(root, entry)],
  target: "browser", // lowers `using`
  format: "esm",
  sourcemap: "external",
  plugins: [plugin],
  ignoreDCEAnnotations: true, // package.json says that modules have no side effects, which is true of all others
  // As in a program that Bun has compiled: there are no sources beside it.
  define: { ...buildFacts(), "import.meta.dirname": '"/$bunfs/root"' },
});
const [bundle, map] = built.outputs;
// After all modules, so that it moves no line.
const positions = JSON.stringify(packPositions(JSON.parse(await map!.text())));
await Bun.write(out, `${await bundle!.text()}\nglobalThis.positions = ${positions};\n`);
