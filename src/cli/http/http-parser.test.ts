import { describe, expect, test } from "bun:test";
import { text, utf8 } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";
import { HTTP_HEAD_MAX_BYTES } from "../../base/limits.ts";
import { type ResponseHead, ResponseParser } from "./http-parser.ts";

interface Parsed {
  head: ResponseHead | undefined;
  body: string;
  ended: boolean;
  rest: string;
}

/** Feeds `input` in pieces of `size` bytes. `close`: the connection ends after it. */
function parse(input: string, { size = 1 << 20, wantsStream = false, hasBody = true, close = false } = {}): Parsed {
  const parsed: Parsed = { head: undefined, body: "", ended: false, rest: "" };
  const parser = new ResponseParser(
    {
      head: (head) => {
        expect(parsed.head).toBeUndefined();
        parsed.head = head;
      },
      body: (bytes) => {
        parsed.body += text(bytes);
      },
      end: () => {
        parsed.ended = true;
      },
    },
    wantsStream,
    hasBody,
  );
  const bytes = utf8(input);
  for (let at = 0; at < bytes.length; at += size) parsed.rest += text(parser.push(bytes.subarray(at, at + size)));
  if (close) parser.close();
  return parsed;
}

const OK = "HTTP/1.1 200 OK\r\n";

describe.each([1, 2, 3, 7, 1 << 20])("in pieces of %p bytes", (size) => {
  test("a body of known length ends there", () => {
    const parsed = parse(`${OK}Content-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhelloHTTP/1.1`, { size });
    expect(parsed).toMatchObject({ body: "hello", ended: true, rest: "HTTP/1.1", head: { status: 200, raw: false } });
    expect(parsed.head?.headers.get("x-a")).toBe("1, 2");
  });

  test("chunks, their extensions and trailers", () => {
    const body = "5;x=y\r\nhello\r\n6 \r\n world\r\n0\r\nX-T: 1\r\n\r\nnext";
    const parsed = parse(`${OK}Transfer-Encoding: chunked\r\n\r\n${body}`, { size });
    expect(parsed).toMatchObject({ body: "hello world", ended: true, rest: "next" });
  });

  test("interim answers are skipped", () => {
    const parsed = parse(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n`, { size });
    expect(parsed).toMatchObject({ body: "", ended: true, head: { status: 204 } });
  });

  test("the answer to HEAD has no body, whatever its length says", () => {
    const parsed = parse(`HTTP/1.1 404 Not Found\r\nContent-Length: 50\r\n\r\nnext`, { size, hasBody: false });
    expect(parsed).toMatchObject({ body: "", ended: true, head: { status: 404 }, rest: "next" });
  });

  test("without a length the body ends with the connection", () => {
    expect(parse(`${OK}\r\nhello`, { size })).toMatchObject({ body: "hello", ended: false, head: { raw: false } });
    expect(parse(`${OK}\r\nhello`, { size, close: true })).toMatchObject({ body: "hello", ended: true });
  });

  test("101 starts a stream, and so does 200 if one was asked for", () => {
    const upgraded = parse("HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nraw\r\n0\r\n\r\n", {
      size,
      wantsStream: true,
    });
    expect(upgraded).toMatchObject({ body: "raw\r\n0\r\n\r\n", ended: false, head: { status: 101, raw: true } });
    expect(parse(`${OK}\r\nraw`, { size, wantsStream: true })).toMatchObject({ head: { raw: true }, body: "raw" });
    const refused = parse("HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\n{}", { size, wantsStream: true });
    expect(refused).toMatchObject({ head: { raw: false, status: 404 }, body: "{}", ended: true });
  });
});

test.each([
  ["no status line", "SSH-2.0-OpenSSH\r\n\r\n"],
  ["no status line", "HTTP/2 200 OK\r\n\r\n"],
  ["no status line", "HTTP/1.1 20 OK\r\n\r\n"],
  ["bad header line", `${OK}no colon\r\n\r\n`],
  ["bad header line", `${OK}: empty\r\n\r\n`],
  ["bad header line", `${OK}Content-Length : 3\r\n\r\n`],
  ["bad header line", `${OK} folded: x\r\n\r\n`],
  ["bad content-length", `${OK}Content-Length: -1\r\n\r\n`],
  ["bad content-length", `${OK}Content-Length: 5\r\nContent-Length: 5\r\n\r\n`],
  ['transfer coding "gzip"', `${OK}Transfer-Encoding: gzip\r\n\r\n`],
  ["bad chunk size", `${OK}Transfer-Encoding: chunked\r\n\r\nx\r\n`],
  ["bad chunk size", `${OK}Transfer-Encoding: chunked\r\n\r\n123456789\r\n`],
  ["chunk longer than its size", `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n`],
  ["line without CR", `${OK}Transfer-Encoding: chunked\r\n\r\n1\nab`],
  ["head too long", `${OK}X: ${"a".repeat(HTTP_HEAD_MAX_BYTES)}`],
  ["line too long", `${OK}Transfer-Encoding: chunked\r\n\r\n${"1".repeat(5000)}`],
])("refuses with %p what is not HTTP", (why, input) => {
  expect(() => parse(input)).toThrow(new LighterError("unavailable", `read the daemon's answer: ${why}`));
});

test.each(["", OK, `${OK}Content-Length: 5\r\n\r\nhell`, `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`])(
  "a connection that ends inside %p is an error",
  (input) => {
    expect(() => parse(input, { close: true })).toThrow("the connection ended early");
  },
);
