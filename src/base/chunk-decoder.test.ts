import { expect, test } from "bun:test";
import { ChunkDecoder } from "./chunk-decoder.ts";
import { HTTP_CHUNK_LINE_MAX_BYTES } from "./limits.ts";

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
