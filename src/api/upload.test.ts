import { expect, test } from "bun:test";
import { parseUploadHead } from "./upload.ts";

const parse = (...lines: string[]) => parseUploadHead(Buffer.from(`${lines.join("\r\n")}\r\n\r\nbody`));

test("parseUploadHead knows the two ends that a body may have", () => {
  const chunked = ["PUT /containers/x/archive?path=/ HTTP/1.1", "Host: d", "Transfer-Encoding: chunked"];
  expect(parse(...chunked)).toMatchObject({ url: "/containers/x/archive?path=/", form: "chunks" });
  const sized = parse("PUT /x HTTP/1.1", "content-length: 4", "Host: d");
  expect(sized).toEqual({ url: "/x", form: { bytes: 4 }, endsAt: expect.any(Number) });
});

test("parseUploadHead leaves all that is not the plainest of uploads to others", () => {
  const sized = "Content-Length: 4";
  for (const lines of [
    ["PUT /x HTTP/1.0", sized],
    ["POST /x HTTP/1.1", sized],
    ["PUT x HTTP/1.1", sized],
    ["PUT /x HTTP/1.1"],
    ["PUT /x HTTP/1.1", sized, sized],
    ["PUT /x HTTP/1.1", sized, "Transfer-Encoding: chunked"],
    ["PUT /x HTTP/1.1", "Transfer-Encoding: gzip, chunked"],
    ["PUT /x HTTP/1.1", "Content-Length: +4"],
    ["PUT /x HTTP/1.1", "Content-Length : 4"],
    ["PUT /x HTTP/1.1", sized, "Expect: 100-continue"],
    ["PUT /x HTTP/1.1", sized, "Connection: close"],
  ])
    expect([lines, parse(...lines)]).toEqual([lines, undefined]);
  expect(parseUploadHead(Buffer.from("PUT /x HTTP/1.1\r\nContent-Length: 4\r\n"))).toBeUndefined();
});
