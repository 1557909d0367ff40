import { expect, test } from "bun:test";
import { goQuote } from "../../base/go-escapes.ts";
import { goJson, parseGoBool, parseGoInt, parseGoUint } from "./go.ts";

test.each([
  ["sh -c ls", '"sh -c ls"'],
  ['a"b\\', '"a\\"b\\\\"'],
  ["tab\tnl\n", '"tab\\tnl\\n"'],
  ["é…€", '"é…€"'],
  ["\u0001\u007f", '"\\x01\\x7f"'],
  ["\u200b", '"\\u200b"'],
  ["\u{e0001}", '"\\U000e0001"'],
])("goQuote(%p)", (text, quoted) => {
  expect(goQuote(text)).toBe(quoted);
});

test.each([
  ["10", 10],
  ["-7", -7],
  ["0x1f", 31],
  ["0b11", 3],
  ["0o17", 15],
  ["017", 15],
  ["1_000", 1000],
  ["+5", 5],
  ["9223372036854775807", 2 ** 63 - 1024],
])("parseGoInt reads %p as %p", (text, value) => {
  expect(parseGoInt(text)).toBe(value);
});

test("parseGoInt and parseGoUint refuse in strconv's words", () => {
  expect(() => parseGoInt("x")).toThrow('strconv.ParseInt: parsing "x": invalid syntax');
  expect(() => parseGoInt("09")).toThrow("invalid syntax");
  expect(() => parseGoInt("9223372036854775808")).toThrow("value out of range");
  expect(() => parseGoUint("-1", 16)).toThrow('strconv.ParseUint: parsing "-1": invalid syntax');
  expect(() => parseGoUint("65536", 16)).toThrow('strconv.ParseUint: parsing "65536": value out of range');
});

test("parseGoBool takes Go's twelve words and no others", () => {
  for (const word of ["1", "t", "T", "TRUE", "true", "True"]) expect(parseGoBool(word)).toBe(true);
  for (const word of ["0", "f", "F", "FALSE", "false", "False"]) expect(parseGoBool(word)).toBe(false);
  expect(() => parseGoBool("yes")).toThrow('strconv.ParseBool: parsing "yes": invalid syntax');
});

test("goJson escapes for HTML only when asked", () => {
  expect(goJson({ a: "<&>\u2028" })).toBe('{"a":"<&>\\u2028"}');
  expect(goJson({ a: "<&>" }, true)).toBe('{"a":"\\u003c\\u0026\\u003e"}');
});
