/** The command that starts this program once more. */
import { join } from "node:path";

/** The program's first file, when it runs from source. */
const ENTRY_PATH = join(import.meta.dirname, "../../main.ts");

/** The command that starts this program: the executable at `executablePath` or, from source, bun with the first file. */
export function selfCommand(executablePath: string): string[] {
  if (import.meta.dirname.startsWith("/$bunfs/")) return [executablePath];
  return [process.execPath, "--no-env-file", "--config=/dev/null", "--no-install", ENTRY_PATH];
}
