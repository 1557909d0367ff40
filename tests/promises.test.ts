import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

test("each promise names a test that is there", () => {
  const rows = readFileSync(join(root, "docs/promises.md"), "utf8").matchAll(/`(tests\/[^`]+)` "([^"]*)" \|$/gm);
  const missing: string[] = [];
  let count = 0;
  for (const [, path = "", words = ""] of rows) {
    count++;
    const source = existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined;
    if (source?.includes(words) !== true) missing.push(`${path} "${words}"`);
  }
  expect(missing).toEqual([]);
  expect(count).toBeGreaterThan(30);
});

test("no row of the promises is without a test", () => {
  const rows = readFileSync(join(root, "docs/promises.md"), "utf8").match(/^\|.*\|$/gm) ?? [];
  const bare = rows.filter((row) => !/\| (held by|---|`tests\/[^`]+` "[^"]+") \|$/.test(row));
  expect(bare).toEqual([]);
});
