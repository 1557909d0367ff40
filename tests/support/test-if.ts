/** Runs tests only where they can run, and says why others are skipped. */
import { describe, test } from "bun:test";

type Named = (name: string, fn: () => void) => void;

/**
 * `testIf(isRoot, "needs root")("subject, condition, result", fn)`: runs the test, or skips it and says why.
 * The reason travels in the test's name; scripts/test.ts counts and prints it.
 */
export function testIf(condition: boolean, reason: string): typeof test {
  return condition ? test : skipping(reason);
}

/** `describeIf(whyNot)("title", fn)`: a group, or one skipped test that says why, of which the code is not run. */
export function describeIf(whyNot: string | undefined): typeof describe {
  return whyNot === undefined ? describe : skipping(whyNot);
}

function skipping<T extends typeof test | typeof describe>(reason: string): T {
  const skip: Named = (name) => test.skip(`${name} [skipped: ${reason}]`, () => {});
  return Object.assign(skip, { each: () => skip }) as unknown as T;
}
