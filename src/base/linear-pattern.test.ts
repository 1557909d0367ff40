import { expect, test } from "bun:test";
import { Random, rounds } from "../../tests/support/random.ts";
import { compilePattern } from "./linear-pattern.ts";

const found = (pattern: string, text: string) => compilePattern(pattern)?.(text);

const CASES: readonly [string, string, boolean | undefined][] = [
  ["", "web", true],
  ["eb", "web", true],
  ["^web$", "web", true],
  ["^eb", "web", false],
  ["^w.b-(1|2)?$", "web-", true],
  ["^[a-c[:digit:]_-]+$", "a-9_", true],
  ["[^a-z]", "abc", false],
  ["^\\w+\\.\\d{2,3}$", "web.123", true],
  ["^\\d{2}$", "123", false],
  ["a{,2}", "a{,2}", true],
  ["(?i)^WEB", "web", true],
  ["(?i:w)EB", "WEb", false],
  ["\\bdb\\b", "my-db-1", true],
  ["\\Bdb", "my-db", false],
  ["[]a]", "]", true],
  ["(?:a|b)*?c", "ababc", true],
  ["^$", "", true],
  ["ü+", "müü", true],
  ...["(", ")", "[", "[z-a]", "*", "a**", "a{3,2}", "(?<n>a)", "(?=a)", "\\1", "\\", "[[:nonesuch:]]"].map(
    (pattern): [string, string, undefined] => [pattern, "a", undefined],
  ),
  [`${"(".repeat(2000)}${")".repeat(2000)}`, "a", undefined],
  ["(a{1000}){1000}", "a", undefined],
  [`[${"ab".repeat(30_000)}]`, "a", undefined],
  [`[${"ab".repeat(100)}]{1000}`, "a", undefined],
  [`^[${"ab".repeat(100)}]{5}$`, "babab", true],
];
for (const [pattern, text, expected] of CASES)
  test(`${pattern.slice(0, 30)} in "${text}": ${expected}`, () => expect(found(pattern, text)).toBe(expected));

test("no pattern takes long", () => {
  const text = `${"a".repeat(5000)}!`;
  for (const pattern of [
    "(a+)+$",
    "^(a|a)*$",
    "(a|aa)+$",
    "(.*)*x",
    `${"a*".repeat(50)}b`,
    "(a?){50}a{50}$",
    "(|)*$b",
    "((a*)*)*b",
    "(((((){9999}){9999}){9999}){9999})$b",
  ])
    expect([pattern, found(pattern, text)]).toEqual([pattern, false]);
});

test("any pattern of a few characters is as JavaScript has it", () => {
  const random = Random.fromEnvironment("linear pattern");
  const anyText = (characters: string) =>
    Array.from({ length: random.below(9) }, () => random.pick([...characters])).join("");
  for (let round = 0; round < rounds(20_000); round++) {
    const [pattern, text] = [anyText("aab.^$|()*+?[]-"), anyText("aab-")];
    const matches = compilePattern(pattern);
    if (matches === undefined || /[*+?]\?|\[\]|\[\^\]|\^[*+?]|\$[*+?]/.test(pattern)) continue;
    expect([pattern, text, matches(text)]).toEqual([pattern, text, new RegExp(pattern).test(text)]);
  }
});
