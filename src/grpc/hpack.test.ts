import { expect, test } from "bun:test";
import { encodeHeaders, type Header, HeaderDecoder } from "./hpack.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));

test("RFC 7541, C.4: requests with Huffman codes, each of which refers to those before", () => {
  const decoder = new HeaderDecoder();
  const authority = [":authority", "www.example.com"] as const;
  expect(decoder.decode(hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"))).toEqual([
    ...([
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
    ] as const),
    authority,
  ]);
  expect(decoder.decode(hex("8286 84be 5886 a8eb 1064 9cbf"))).toEqual([
    ...([
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
    ] as const),
    authority,
    ["cache-control", "no-cache"],
  ]);
  expect(decoder.decode(hex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"))).toEqual([
    ...([
      [":method", "GET"],
      [":scheme", "https"],
      [":path", "/index.html"],
    ] as const),
    authority,
    ["custom-key", "custom-value"],
  ]);
});

test("what is encoded is decoded, of any length", () => {
  const headers: Header[] = [0, 1, 126, 127, 128, 20_000].map((length) => [`x-${length}`, "ä".repeat(length)]);
  expect(new HeaderDecoder().decode(encodeHeaders(headers))).toEqual(headers);
});

test("entries leave the table when it is full, or is made smaller", () => {
  const decoder = new HeaderDecoder();
  const remembered = (value: string) => Buffer.concat([hex("40 01 61 7f"), length(value), Buffer.from(value)]);
  const length = (value: string) => Buffer.from([((value.length - 127) % 128) | 0x80, (value.length - 127) >> 7]);
  for (const text of ["b".repeat(1500), "c".repeat(1500), "d".repeat(1500)]) decoder.decode(remembered(text));
  expect(decoder.decode(hex("be bf"))).toEqual([
    ["a", "d".repeat(1500)],
    ["a", "c".repeat(1500)],
  ]);
  expect(() => decoder.decode(hex("c0"))).toThrow("none of the number 64");
  expect(decoder.decode(hex("20"))).toEqual([]);
  expect(() => decoder.decode(hex("be"))).toThrow("none of the number 62");
});

test.each([
  ["80", "none of the number 0"],
  ["40", "too early"],
  ["00 05 61", "too early"],
  ["00 01 61 81 00", "in the middle of a code"],
  ["00 01 61 84 ff ff ff ff", "its end in it"],
  ["ff ff ff ff ff ff", "a number is too large"],
  ["3f e2 1f", "table is too large"],
])("%s is refused: %s", (bytes, why) => {
  expect(() => new HeaderDecoder().decode(hex(bytes))).toThrow(why);
});
