import { test } from "bun:test";

/**
 * `testIf(isRoot, "needs root")("subject, condition, result", fn)`: runs the test, or skips it and says why.
 * The reason travels in the test's name; scripts/test.ts counts and prints it.
 */
export function testIf(condition: boolean, reason: string): typeof test {
  if (condition) return test;
  return ((name: string, fn: () => void) => test.skip(`${name} [skipped: ${reason}]`, fn)) as typeof test;
}
