/** Becomes Bun's program, which is beside this one. */

import { tryCall } from "../linux/sys/door.ts";
import { errnoName, errnoText } from "../linux/sys/errno.ts";
import { setSigpipe } from "../linux/sys/sigpipe.ts";
import { host } from "./host.ts";
import { dirname } from "./path.ts";
import { processShim } from "./process.ts";

/** The file's name beside this program's. */
const BUN_PROGRAM = "lighterd";

/** Executes it with what this process was started with, byte by byte. Returns the exit code if that fails. */
export function becomeBun(): number {
  const path = `${dirname(processShim.execPath)}/${BUN_PROGRAM}`;
  setSigpipe("default");
  const rc = tryCall("execve", path, host.argvAt!, host.environAt!);
  console.error(`lighter: execute "${path}": ${errnoText(errnoName(-rc))}`);
  return 1;
}
