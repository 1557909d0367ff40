/**
 * Imported first by programs of the crash tests: the process dies at its N-th write point (1 is the first), where N is
 * $LIGHTER_TEST_CRASH_AT, or at the first write point of that name. A daemon's workers, which inherit the variable, do not.
 */
import { writeSync } from "node:fs";
import { observeWritePoints } from "../../src/base/write-point.ts";

const crashAt = process.argv[2]?.endsWith("-worker") ? "" : (process.env.LIGHTER_TEST_CRASH_AT ?? "");
let passed = 0;

observeWritePoints((name) => {
  passed++;
  if (`${passed}` !== crashAt && name !== crashAt) return;
  writeSync(2, `crash at write point ${passed}: ${name}\n`);
  process.kill(process.pid, "SIGKILL");
});
