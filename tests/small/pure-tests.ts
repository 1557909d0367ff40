/** Which of the project's tests run inside the small engine: those that need nothing that it lacks. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const root = join(import.meta.dirname, "../..");

/** What the engine's shims do not have, or do not have for tests. */
const BEYOND = /^(node:(?!fs$|path$|os$|crypto$|events$)|bun(?!:test|:ffi))/;

const importsOf = (path: string) => [
  ...readFileSync(path, "utf8").matchAll(/(?:^|\n)(?:import|export)\s[^;]*?from "([^"]+)"|\bimport\("([^"]+)"\)/g),
];

/** Whether a file, and all that it imports, needs no more than the engine has. `seen`: those that have been looked at. */
function isWithin(path: string, seen = new Set<string>()): boolean {
  if (seen.has(path)) return true;
  seen.add(path);
  const isTest = /\.test\.ts$|\/tests\//.test(path);
  if (isTest && /\bimport\.meta\b|\bBun\.|\b(?:utimes|chmod)Sync\b/.test(readFileSync(path, "utf8"))) return false;
  return importsOf(path).every(([text, from, later]) => {
    const name = from ?? later!;
    if (/^\s*import type\b/.test(text)) return true;
    return name.startsWith(".")
      ? name.endsWith(".ts") && isWithin(join(dirname(path), name), seen)
      : !BEYOND.test(name);
  });
}

/** Folders of what the short commands consist of. */
const FOLDERS = ["src/{base,spec,linux,runtime,oci,cli}/**/*.test.ts", "tests/small/traps.test.ts"];

export function pureTests(folders: readonly string[] = FOLDERS): string[] {
  return globSync([...folders], { cwd: root })
    .filter((path) => isWithin(join(root, path)))
    .sort();
}

/** The module that holds them all. */
export function entryOf(paths: readonly string[], folder: string): string {
  const from = (path: string) => JSON.stringify(`./${relative(folder, join(root, path))}`);
  return [
    `import ${from("src/shims/globals.ts")};`,
    `import { host } from ${from("src/shims/host.ts")};`,
    `import { runTests } from ${from("tests/small/bun-test.ts")};`,
    // On demand: tests may ask the kernel while their files are evaluated, which the program's own modules may not.
    "async function main() {",
    ...paths.map((path) => `  await import(${from(path)});`),
    "  process.exit(await runTests());",
    "}",
    "host.onStart(() => void main());",
  ].join("\n");
}
