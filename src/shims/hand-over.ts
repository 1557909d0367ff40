/** Becomes Bun's program, which is beside this one. */
import { errnoName, errnoText } from "../linux/sys/errno.ts";
import { cString, host, tryCall } from "./door.ts";
import { dirname } from "./path.ts";
import { processShim } from "./process.ts";
import { restoreSigpipe } from "./signals.ts";

/** The file's name beside this program's. */
const BUN_PROGRAM = "lighterd";

/** Executes it with what this process was started with, byte by byte. Returns the exit code if that fails. */
export function becomeBun(): number {
  const path = `${dirname(processShim.execPath)}/${BUN_PROGRAM}`;
  restoreSigpipe();
  const rc = tryCall("execve", cString(path), host.argvAt!, host.environAt!);
  console.error(`lighter: execute "${path}": ${errnoText(errnoName(-rc))}`);
  return 1;
}
