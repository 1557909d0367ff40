import { expect, test } from "bun:test";
import { type Fields, handled, parseBody, refused } from "./body-fields.ts";
import { parseGoJson } from "./go-json.ts";

const parse = (text: string) => parseGoJson(Buffer.from(text));

/** Documents with the errors of dockerd 26, which says "invalid JSON: " before most. */
const WRONG: readonly [string, string][] = [
  ["", "invalid JSON: got EOF while reading request body"],
  [" \n", "invalid JSON: got EOF while reading request body"],
  ["{invalid", "invalid JSON: invalid character 'i' looking for beginning of object key string"],
  ["{'a':1}", "invalid JSON: invalid character '\\'' looking for beginning of object key string"],
  ['{"a" 1}', "invalid JSON: invalid character '1' after object key"],
  ['{"a":1 "b"}', "invalid JSON: invalid character '\"' after object key:value pair"],
  ['{"a":1,}', "invalid JSON: invalid character '}' looking for beginning of object key string"],
  ["[1 2]", "invalid JSON: invalid character '2' after array element"],
  ["[1,]", "invalid JSON: invalid character ']' looking for beginning of value"],
  ["[1,2", "invalid JSON: unexpected EOF"],
  ["\ufeff{}", "invalid JSON: invalid character 'ï' looking for beginning of value"],
  ["trux", "invalid JSON: invalid character 'x' in literal true (expecting 'e')"],
  ["-x", "invalid JSON: invalid character 'x' in numeric literal"],
  ["1.x", "invalid JSON: invalid character 'x' after decimal point in numeric literal"],
  ["1e+x", "invalid JSON: invalid character 'x' in exponent of numeric literal"],
  ['"a\nb"', "invalid JSON: invalid character '\\n' in string literal"],
  ['"\\x"', "invalid JSON: invalid character 'x' in string escape code"],
  ['"\\u12g4"', "invalid JSON: invalid character 'g' in \\u hexadecimal character escape"],
  ["{} {}", "unexpected content after JSON"],
  ["01", "unexpected content after JSON"],
  ["[".repeat(1001), "invalid JSON: invalid character '[' exceeded max depth"],
  [`[${"0,".repeat(524288)}0]`, "invalid JSON: the body has more values than the limit of 524288"],
];
for (const [text, message] of WRONG)
  test(`Go's words for ${JSON.stringify(text.slice(0, 20))}: ${message}`, () => {
    expect(() => parse(text)).toThrow(message);
  });

test("what Go takes: a bracket too many, bytes that are no UTF-8, half a surrogate pair", () => {
  expect(parse("{}}")).toEqual({});
  expect(parse("[]]")).toEqual([]);
  expect(parseGoJson(Buffer.from([0x22, 0xff, 0x22]))).toBe("\ufffd");
  expect(parse('"\\ud83d \\ud83d\\ude00 \\u00e9 \\/"')).toBe("\ufffd 😀 é /");
});

test("integers are exact, and no other number is one", () => {
  expect(parse("[0, -0, 9007199254740991, 9223372036854775807]")).toEqual([
    0,
    0,
    9007199254740991,
    9223372036854775807n,
  ]);
  const fields: Fields = { Memory: handled("integer") };
  for (const number of ["1.0", "1e3", "1.5"])
    expect(() => parseBody(parse(`{"Memory":${number}}`), fields)).toThrow(`Memory: must be an integer, is ${number}`);
  for (const number of ["9223372036854775808", "-9223372036854775809", "1".repeat(400)])
    expect(() => parseBody(parse(`{"Memory":${number}}`), fields)).toThrow("out of range");
});

test.each([
  ["9007199254740993", "9007199254740992"],
  ["9223372036854771712", "9223372036854772000"],
  ["9223372036854775807", "9223372036854775000"],
  ["-9223372036854775808", "-9223372036854775000"],
])("a field's integer beyond 2^53 becomes the nearest number: %s", (given, written) => {
  const fields: Fields = { Memory: handled("integer") };
  expect(JSON.stringify(parseBody(parse(`{"Memory":${given}}`), fields))).toBe(`{"Memory":${written}}`);
});

test("a document that comes from JSON.stringify is read as JSON.parse reads it", () => {
  const document = { a: [1, "ü\u2028\t", null, true, { b: {} }], c: -7, d: "\\\"'", "": [] };
  expect(parse(JSON.stringify(document, undefined, 3))).toEqual(document);
});

const FIELDS: Fields = {
  Name: handled("string"),
  Tty: handled("boolean"),
  Env: handled("strings"),
  Labels: handled("stringMap"),
  Sets: handled("set"),
  Ports: handled({ map: { list: { Port: handled("string") } } }),
  Limits: handled({ object: { Memory: handled("integer"), Cpus: handled("integer"), Cgroup: refused("no") } }),
};
const read = (text: string) => parseBody(parse(text), FIELDS);

test("of a name that comes several times, in any case, the last value counts; objects are filled in", () => {
  expect(read('{"name":"a","Name":"b","NAME":"c","Tty":true,"tty":false}')).toEqual({ Name: "c", Tty: false });
  const limits = '{"Limits":{"Memory":1,"memory":2},"limits":{"Cpus":3},"Limits":{"cpus":4}}';
  expect(read(limits)).toEqual({ Limits: { Memory: 2, Cpus: 4 } });
  expect(read('{"Labels":{"a":"1","a":"2"},"labels":{"b":"3"}}')).toEqual({ Labels: { a: "2", b: "3" } });
  expect(read('{"Env":["a","b"],"Env":["c"]}')).toEqual({ Env: ["c"] });
  expect(() => read('{"Limits":{"cgroup":"x"},"Limits":{}}')).toThrow("Limits.Cgroup: not supported: no");
});

test("null is as absent; after a value it empties lists and objects; in a list it is Go's empty value", () => {
  expect(read('{"Name":null,"Env":null,"Limits":null}')).toEqual({});
  expect(read('{"Name":"a","Name":null,"Env":["b"],"Env":null}')).toEqual({ Name: "a" });
  expect(read('{"Env":["a",null],"Labels":{"b":null},"Ports":{"1":null,"2":[null]}}')).toEqual({
    Env: ["a", ""],
    Labels: { b: "" },
    Ports: { "1": [], "2": [{}] },
  });
  expect(parseBody(null, FIELDS)).toEqual({});
});
