import { expect, test } from "bun:test";
import { LighterError } from "../base/errors.ts";
import { formatJson, parseExactJson } from "./json.ts";

test.each([
  ["18446744073709551615", 18446744073709551615n],
  ["-9223372036854775808", -9223372036854775808n],
  ["9007199254740993", 9007199254740993n],
  ["9007199254740991", 9007199254740991],
  ["-0", -0],
  ["1e400", Number.POSITIVE_INFINITY],
  ["12345678901234567890.5", Number("12345678901234567890.5")],
  ["1234567890123456789e0", Number("1234567890123456789")],
])("parseExactJson reads %s without loss if it is an integer", (text, value) => {
  expect(parseExactJson(text, "x")).toBe(value);
  expect(parseExactJson(`{"a":[${text}]}`, "x")).toEqual({ a: [value] });
});

test.each([
  ["", "Unexpected EOF"],
  ["{", "Expected"],
  ['{"a": 12345678901234567, }', "Property name"],
  [`${"[".repeat(100_000)}`, ""],
  [`{"a":12345678901234567,"b":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, "stack"],
])("parseExactJson names the document that is not JSON: %#", (text, message) => {
  expect(() => parseExactJson(text, "config.json")).toThrow(LighterError);
  expect(() => parseExactJson(text, "config.json")).toThrow(/^config\.json: /);
  expect(() => parseExactJson(text, "config.json")).toThrow(message);
});

test("formatJson writes what parseExactJson read", () => {
  const text = '{"soft":18446744073709551615,"name":"a\\"b","list":[1,-9223372036854775808]}';
  expect(formatJson(parseExactJson(text, "x"))).toBe(text);
});
