/**
 * Writes the files that are derived from tables elsewhere: `bun run generate`.
 * With --check writes nothing, names those that are not fresh, and exits 1 if there are any.
 * (src/linux/seccomp/syscall-table.ts is not here: it comes from the kernel headers of one machine.)
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateProgramHeader } from "./generate-program-header.ts";

const root = join(import.meta.dirname, "..");

const generated: { path: string; generate: () => string }[] = [
  { path: "launcher/program.h", generate: generateProgramHeader },
];

/** Paths whose content is not what their generator gives now. */
export function staleFiles(): string[] {
  return generated.filter(({ path, generate }) => readOrEmpty(path) !== generate()).map(({ path }) => path);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch {
    return "";
  }
}

if (import.meta.main) {
  const stale = staleFiles();
  if (process.argv.includes("--check")) {
    for (const path of stale) console.error(`${path} is not fresh: run "npm run generate"`);
    process.exitCode = stale.length > 0 ? 1 : 0;
  } else {
    for (const { path, generate } of generated) {
      if (!stale.includes(path)) continue; // an untouched mtime spares a rebuild
      writeFileSync(join(root, path), generate());
      console.log(`wrote ${path}`);
    }
  }
}
