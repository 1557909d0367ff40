/** The modules that are imported on demand. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const src = join(import.meta.dirname, "../src");
const transpiler = new Bun.Transpiler({ loader: "ts" });

interface Import {
  /** The file's path, relative to src/. */
  target: string;
  onDemand: boolean;
}

function importsOf(name: string): Import[] {
  return transpiler.scanImports(readFileSync(join(src, name), "utf8")).flatMap(({ kind, path }) => {
    const target = resolve(src, dirname(name), path).slice(src.length + 1);
    return path.startsWith(".") && path.endsWith(".ts") ? [{ target, onDemand: kind === "dynamic-import" }] : [];
  });
}

/** Finds all files that are imported on demand, relative to src/. */
export function findEntries(): Set<string> {
  const names = globSync("**/*.ts", { cwd: src }).filter((name) => !name.endsWith(".test.ts"));
  return new Set(names.flatMap(importsOf).flatMap(({ target, onDemand }) => (onDemand ? [target] : [])));
}

/** Finds those that can be reached from some files. */
export function reachedOnDemand(from: readonly string[]): string[] {
  const seen = new Set<string>(from);
  const onDemand = new Set<string>();
  for (const name of seen)
    for (const found of importsOf(name)) {
      seen.add(found.target);
      if (found.onDemand) onDemand.add(found.target);
    }
  return [...onDemand];
}
