import { expect, test } from "bun:test";
import { HTTP_CHUNK_LINE_MAX_BYTES } from "../base/limits.ts";
import { ChunkDecoder } from "./chunk-decoder.ts";

test("a chunked body is put together wherever its bytes are cut, and what follows it is left", () => {
  const bytes = Buffer.from("5\r\nhello\r\nA;name=value\r\n, world ab\r\n1 \nc\n0\r\nTrailer: x\r\n\r\nrest\r\n");
  for (let size = 1; size <= bytes.length; size++) {
    const decoder = new ChunkDecoder();
    let body = "";
    let rest: string | undefined;
    for (let at = 0; at < bytes.length; at += size) {
      const piece = bytes.subarray(at, at + size);
      if (rest !== undefined) {
        rest += piece;
        continue;
      }
      const pushed = decoder.push(piece);
      body += pushed.payload;
      rest = pushed.rest?.toString();
    }
    expect([body, rest]).toEqual(["hello, world abc", "rest\r\n"]);
  }
});

test.each([
  ["no size", "\r\n"],
  ["a size that is no number", "x\r\n"],
  ["a negative size", "-1\r\n"],
  ["a size beyond any body", "123456789abcd\r\n"],
  ["bytes beyond the size", "1\r\nab\r\n"],
  ["a line without an end", "1;".padEnd(HTTP_CHUNK_LINE_MAX_BYTES + 1, "x")],
])("%s is malformed", (_, bytes) => {
  expect(() => new ChunkDecoder().push(Buffer.from(bytes))).toThrow("malformed chunked encoding");
});

test("the line of a range ends what is taken at a time, and its bytes are elsewhere", () => {
  const decoder = new ChunkDecoder({ takesFiles: true });
  const push = (text: string) => {
    const { payload, range, rest } = decoder.push(Buffer.from(text));
    return [payload.toString(), range, rest?.toString()];
  };
  expect(push("2\r\nab\r\n1f;fi")).toEqual(["ab", undefined, undefined]);
  expect(push("le=ff\r\n")).toEqual(["", { length: 31, offset: 255 }, undefined]);
  expect(push("0;file=0\r\n")).toEqual(["", { length: 0, offset: 0 }, undefined]);
  expect(push("1;file\r\nc\r\n0\r\n\r\nrest")).toEqual(["c", undefined, "rest"]);
  expect(() => new ChunkDecoder({ takesFiles: true }).push(Buffer.from("1;file=0\r\n0"))).toThrow("malformed");
  expect(new ChunkDecoder().push(Buffer.from("1;file=0\r\nx")).payload.toString()).toBe("x");
});
