import { expect, test } from "bun:test";
import { releaseTextPages, residentBytes } from "./text-pages.ts";

test("code that has run is no longer resident, and runs again", () => {
  const before = residentBytes().file;
  releaseTextPages();
  expect(residentBytes().file).toBeLessThan(before / 2);
  expect(JSON.stringify({ a: [1] })).toBe('{"a":[1]}');
});
