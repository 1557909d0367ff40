import { writeSync } from "node:fs";

/** Set by the crash test: die at the N-th write point (1 is the first). */
const crashAt = Number(process.env.LIGHTER_TEST_CRASH_AT ?? 0);
let passed = 0;

function countedWritePoint(name: string): void {
  passed++;
  if (passed !== crashAt) return;
  writeSync(2, `crash at write point ${passed}: ${name}\n`);
  process.kill(process.pid, "SIGKILL");
}

/**
 * Marks the moment between two durable effects, where `kill -9` must leave a state that the next daemon understands.
 * Does nothing but in the crash test.
 */
export const writePoint: (name: string) => void = crashAt > 0 ? countedWritePoint : () => {};
