/**
 * Writes the files that are generated from tables: `bun run generate`. With --check it writes nothing, names the files that are
 * not fresh, and exits with 1 if there are any. (src/linux/seccomp/syscall-table.ts is not one of them: it comes from the kernel
 * headers of one machine.)
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generatePlayersHeader, generateProgramHeader } from "./generate-program-headers.ts";
import { commandsReference } from "./reference.ts";

const root = join(import.meta.dirname, "..");

const generated: { path: string; generate: () => string | Promise<string> }[] = [
  { path: "launcher/program.h", generate: generateProgramHeader },
  { path: "launcher/players.h", generate: generatePlayersHeader },
  { path: "docs/commands.md", generate: commandsReference },
];

/** The paths of files that differ from what their generator gives now. */
export async function staleFiles(): Promise<string[]> {
  const texts = await Promise.all(generated.map(({ generate }) => generate()));
  return generated.filter(({ path }, index) => readOrEmpty(path) !== texts[index]).map(({ path }) => path);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch {
    return "";
  }
}

if (import.meta.main) {
  const stale = await staleFiles();
  if (process.argv.includes("--check")) {
    for (const path of stale) console.error(`${path} is not fresh: run "npm run generate"`);
    process.exitCode = stale.length > 0 ? 1 : 0;
  } else {
    for (const { path, generate } of generated) {
      if (!stale.includes(path)) continue; // an unchanged mtime avoids a rebuild
      writeFileSync(join(root, path), await generate());
      console.log(`wrote ${path}`);
    }
  }
}
