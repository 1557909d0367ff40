import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CASES } from "./cases.ts";
import { runCase } from "./run-case.ts";

/** `GOLDEN=update bun test tests/golden/config` rewrites the files; the diff is reviewed. */
const update = process.env.GOLDEN === "update";
const folder = join(import.meta.dirname, "oci");

for (const testCase of CASES) {
  test(`a create body becomes the OCI config of before: ${testCase.name}`, () => {
    const { prepared, oci } = runCase(testCase);
    const { warnings, path, args, log, mountPoints } = prepared;
    const actual = { warnings, path, args, log, mountPoints, config: oci };
    const file = join(folder, `${testCase.name}.json`);
    if (update) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, `${JSON.stringify(actual, null, 1)}\n`);
    }
    expect(existsSync(file)).toBe(true);
    // Through JSON: what a runtime reads has no undefined.
    expect(JSON.parse(JSON.stringify(actual))).toEqual(JSON.parse(readFileSync(file, "utf8")));
    expect(findUndefined(oci, "config")).toEqual([]);
  });
}

test("every golden file belongs to a case", () => {
  expect(readdirSync(folder).sort()).toEqual(CASES.map((testCase) => `${testCase.name}.json`).sort());
});

function findUndefined(value: unknown, path: string): string[] {
  if (value === undefined) return [path];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => findUndefined(each, `${path}.${key}`));
}
