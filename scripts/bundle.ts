/**
 * Bundles a program into one executable: `bun scripts/bundle.ts ENTRY OUT BUN`, where ENTRY is its first file and BUN the Bun to
 * put it into.
 *
 * `lighter --version`, p50: 29 ms plain, 12 ms with bytecode, 8.5 ms if it is also split, so that a command loads only its own
 * modules. Minifying does not make it faster, and would hide names in stacks. (Bun with an empty program: 6 ms.)
 */
import { join } from "node:path";
import { buildFacts } from "./build-facts.ts";

const root = join(import.meta.dirname, "..");

const [entry = "", outfile = "", executablePath = ""] = process.argv.slice(2);
await Bun.build({
  entrypoints: [join(root, entry)],
  target: "bun",
  format: "esm",
  splitting: true,
  bytecode: true,
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
