import { expect, test } from "bun:test";
import { compilePathPattern } from "./path-pattern.ts";

/** Cases from Go's documentation of path.Match and from running it. */
const CASES: [pattern: string, path: string, matches: boolean | undefined][] = [
  ["abc", "abc", true],
  ["*", "abc", true],
  ["*c", "abc", true],
  ["a*", "a", true],
  ["a*", "ab/c", false],
  ["a*/b", "abc/b", true],
  ["a*/b", "a/c/b", false],
  ["a*b*c*d*e*/f", "axbxcxdxe/f", true],
  ["a*b*c*d*e*/f", "axbxcxdxexxx/fff", false],
  ["a*b?c*x", "abxbbxdbxebxczzx", true],
  ["a*b?c*x", "abxbbxdbxebxczzy", false],
  ["ab[c]", "abc", true],
  ["ab[b-d]", "abc", true],
  ["ab[e-g]", "abc", false],
  ["ab[^c]", "abc", false],
  ["ab[^e-g]", "abc", true],
  ["a\\*b", "a*b", true],
  ["a\\*b", "ab", false],
  ["a?b", "a\u263ab", true],
  ["a[^a]b", "a\u263ab", true],
  ["a???b", "a\u263ab", false],
  ["[a-\u03b6]*", "\u03b1", true],
  ["a?b", "a/b", false],
  ["a[^x]b", "a/b", false],
  ["[\\]a]", "]", true],
  ["[\\-]", "-", true],
  ["[x\\-]", "z", false],
  ["[]a]", "]", undefined],
  ["[-]", "-", undefined],
  ["[x-]", "x", undefined],
  ["[", "a", undefined],
  ["[^", "a", undefined],
  ["[^bc", "a", undefined],
  ["a[", "a", undefined],
  ["a\\", "a", undefined],
  ["", "", true],
  ["", "a", false],
  ["**", "a", true],
];

for (const [pattern, path, expected] of CASES)
  test(`the pattern ${JSON.stringify(pattern)} and ${JSON.stringify(path)}: ${expected ?? "malformed"}`, () => {
    expect(compilePathPattern(pattern)?.(path)).toBe(expected as boolean);
  });

test("many stars take no time to fail", () => {
  expect(compilePathPattern("*a".repeat(200))?.("a".repeat(199) + "b".repeat(20_000))).toBe(false);
});
