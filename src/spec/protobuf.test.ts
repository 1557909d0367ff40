import { expect, test } from "bun:test";
import {
  boolean,
  byteStrings,
  bytes,
  double,
  int64,
  integer,
  MessageType,
  message,
  messageMap,
  messages,
  string,
  stringMap,
  strings,
} from "./protobuf.ts";

const innerType = new MessageType({ a: integer(1), text: string(2) });
const type = new MessageType({
  number: integer(1),
  big: int64(2),
  yes: boolean(3),
  text: string(4),
  raw: bytes(5),
  inner: message(6, innerType),
  list: strings(7),
  inners: messages(8, innerType),
  map: stringMap(9),
  innersByName: messageMap(10, innerType),
  raws: byteStrings(200),
  real: double(11),
});
const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
const encode = (value: Parameters<typeof type.encode>[0]) => Buffer.from(type.encode(value)).toString("hex");

// The bytes of the first examples are those of protobuf.dev, "Encoding".
test.each([
  [{}, ""],
  [{ number: 0, big: 0n, yes: false, text: "", raw: new Uint8Array() }, ""],
  [{ number: 150 }, "08 96 01"],
  [{ number: -1 }, "08 ff ff ff ff ff ff ff ff ff 01"],
  [{ big: -(2n ** 63n) }, "10 80 80 80 80 80 80 80 80 80 01"],
  [{ yes: true }, "18 01"],
  [{ text: "testing" }, "22 07 74 65 73 74 69 6e 67"],
  [{ inner: { a: 150 } }, "32 03 08 96 01"],
  [{ inner: {} }, "32 00"],
  [{ list: ["", "a"] }, "3a 00 3a 01 61"],
  [
    {
      map: new Map([
        ["b", ""],
        ["a", "x"],
      ]),
    },
    "4a 06 0a 01 61 12 01 78 4a 05 0a 01 62 12 00",
  ], // prettier-ignore
  [{ raws: [new Uint8Array([1])] }, "c2 0c 01 01"],
  [{ real: 0 }, ""],
  [{ real: -0.5 }, "59 00 00 00 00 00 00 e0 bf"],
])("encode: %p", (value, expected) => {
  expect(encode(value)).toBe(expected.replaceAll(" ", ""));
});

test("a message that is longer than one byte of length can tell", () => {
  const value = { inner: { text: "x".repeat(70_000) }, text: "after" };
  expect(type.decode(type.encode(value))).toMatchObject({ inner: { a: 0, text: value.inner.text }, text: "after" });
});

test("decode: what is encoded comes back, and what is missing has its default", () => {
  const value = {
    number: 2 ** 40,
    big: 2n ** 63n - 1n,
    yes: true,
    text: "ä\u0000\ufeff",
    raw: hex("00 ff"),
    inner: { a: -7, text: "" },
    list: ["", "b"],
    inners: [
      { a: 1, text: "" },
      { a: 0, text: "x" },
    ], // prettier-ignore
    map: new Map([["", "v"]]),
    innersByName: new Map([["k", { a: 3, text: "" }]]),
    raws: [new Uint8Array(), hex("01")],
    real: 1.25,
  };
  expect(type.decode(type.encode(value))).toEqual(value);
  expect(type.decode(new Uint8Array())).toEqual({
    ...{ number: 0, big: 0n, yes: false, text: "", raw: new Uint8Array(), inner: undefined },
    ...{ list: [], inners: [], map: new Map(), innersByName: new Map(), raws: [], real: 0 },
  });
});

test("decode: the last of a field counts, messages are merged, a map's entry may lack its parts, unknown fields are skipped", () => {
  const bytes =
    "08 01 08 02  32 02 08 05 32 03 12 01 61  4a 00  f8 7f 01 fd 7f 01 02 03 04 f9 7f 01 02 03 04 05 06 07 08";
  expect(type.decode(hex(bytes))).toMatchObject({ number: 2, inner: { a: 5, text: "a" }, map: new Map([["", ""]]) });
});

test.each([
  ["08", "it ends in the middle of a field"],
  ["22 05 61", "it ends in the middle of a field"],
  ["59 00 00", "it ends in the middle of a field"],
  ["32 02 08", "it ends in the middle of a field"],
  ["32 01 08 01", "it ends in the middle of a field"],
  ["0a 01 61", "a field has wire type 2 in place of 0"],
  ["33 34", "a field has wire type 3 in place of 2"],
  ["fb 7f", "a field has wire type 3"],
  ["00 00", "a field has the number 0"],
  ["22 01 ff", "a text is not UTF-8"],
  ["08 ff ff ff ff ff ff ff ff ff ff 01", "a number has more than ten bytes"],
  ["08 ff ff ff ff ff ff ff ff 7f", "the number 9223372036854775807 is out of range"],
  ["22 ff ff ff ff 7f", "a length or tag is too large"],
])("decode: %s is refused: %s", (bytes, why) => {
  expect(() => type.decode(hex(bytes))).toThrow(`malformed protobuf message: ${why}`);
});

test("decode: a message of more values than fit into memory is refused", () => {
  const many = Buffer.alloc(2 * 300_000, Buffer.from([0x3a, 0]));
  expect(() => type.decode(many)).toThrow("it has more than 262144 values");
});
