/**
 * Bundles src/small.ts, or another entry, into one JavaScript module for the small engine: `bun scripts/bundle-small.ts OUT [ENTRY]`. The names of Node and Bun
 * lead to src/shims, and the modules that commands import on demand are evaluated with all others: the result is kept.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { BunPlugin } from "bun";
import { buildFacts } from "./build-facts.ts";
import { findEntries } from "./entries.ts";

const root = join(import.meta.dirname, "..");
const shim = (name: string) => join(root, "src/shims", `${name}.ts`);

/** The modules that stand for Node's and Bun's. */
const SHIMS: Readonly<Record<string, string>> = {
  "node:fs": "fs",
  "node:path": "path",
  "node:os": "os",
  "node:net": "socket",
  "node:events": "events",
  "node:crypto": "crypto",
  "node:child_process": "child-process",
  "bun:ffi": "ffi",
  "bun:test": "../../tests/small/bun-test",
  "node:tls": "unsupported",
  "node:zlib": "unsupported",
  "node:stream": "unsupported",
  "node:fs/promises": "unsupported",
};

/** The folders whose modules the short commands load on demand. */
const ON_DEMAND = /^(cli|oci|runtime|linux|spec|base)\//;

const plugin: BunPlugin = {
  name: "small engine",
  setup(build) {
    build.onResolve({ filter: /^(node|bun):/ }, ({ path, importer }) => {
      const name = SHIMS[path];
      if (name === undefined) throw new Error(`${importer} imports ${path}, which src/shims does not have`);
      return { path: shim(name) };
    });
    build.onLoad({ filter: /\/src\/embedded\.ts$/ }, () => ({
      contents: `
        import { embed } from "./shims/embedded.ts";
        export const launcherPath = embed("launcher", Buffer.from(${JSON.stringify(
          readFileSync(join(root, "dist/launcher")).toString("base64"),
        )}, "base64"));`,
      loader: "ts",
    }));
    build.onLoad({ filter: /\/src\/small\.ts$/ }, ({ path }) => ({
      contents:
        readFileSync(path, "utf8") +
        [...findEntries()]
          .filter((name) => ON_DEMAND.test(name))
          .map((name) => `\nimport ${JSON.stringify(`./${name}`)};`)
          .join(""),
      loader: "ts",
    }));
  },
};

const [out = "", entry = "src/small.ts"] = process.argv.slice(2);
const built = await Bun.build({
  entrypoints: [resolve(root, entry)],
  target: "browser", // lowers `using`
  format: "esm",
  plugins: [plugin],
  ignoreDCEAnnotations: true, // package.json says that modules have no side effects, which is true of all others
  // As in a program that Bun has compiled: there are no sources beside it.
  define: { ...buildFacts(), "import.meta.dirname": '"/$bunfs/root"' },
});
await Bun.write(out, built.outputs[0]!);
