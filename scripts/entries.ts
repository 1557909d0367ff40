/** The modules that are imported on demand. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const root = join(import.meta.dirname, "..");

/** Finds the files that are imported on demand, relative to src/. */
export function findEntries(): Set<string> {
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
