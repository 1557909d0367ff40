/** The modules that are imported on demand. */
import { readFileSync } from "node:fs";
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

/** Finds the files, relative to src/, that are imported on demand by some files, or by what these import. */
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
