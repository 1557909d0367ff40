import { expect, test } from "bun:test";
import { join } from "node:path";
import { parseUploadHead } from "./upload.ts";

const parse = (...lines: string[]) => parseUploadHead(Buffer.from(`${lines.join("\r\n")}\r\n\r\nbody`));

test("parseUploadHead knows the two ends that a body may have", () => {
  const chunked = ["PUT /containers/x/archive?path=/ HTTP/1.1", "Host: d", "Transfer-Encoding: chunked"];
  expect(parse(...chunked)).toMatchObject({ url: "/containers/x/archive?path=/", form: "chunks" });
  const sized = parse("PUT /x HTTP/1.1", "content-length: 4", "Host: d");
  expect(sized).toEqual({ method: "PUT", url: "/x", form: { bytes: 4 }, endsAt: expect.any(Number) });
  expect(parse("POST /x HTTP/1.1", "Content-Length: 4")).toMatchObject({ method: "POST", url: "/x" });
});

test("parseUploadHead knows those who offer descriptors, and then need not be told to go on", () => {
  const offer = ["PUT /x HTTP/1.1", "X-Lighter-Files: 1", "Expect: 100-continue"];
  expect(parse(...offer, "Transfer-Encoding: chunked")).toMatchObject({ form: "files" });
  expect(parse(...offer, "Content-Length: 4")).toBeUndefined();
});

test("parseUploadHead leaves all that is not the plainest of uploads to others", () => {
  const sized = "Content-Length: 4";
  for (const lines of [
    ["PUT /x HTTP/1.0", sized],
    ["GET /x HTTP/1.1", sized],
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

test("where there are fds for one half of a body alone, none is taken", () => {
  const script = `
    const { closeSync, openSync } = await import("node:fs");
    const { rawBody } = await import(${JSON.stringify(join(import.meta.dirname, "upload.ts"))});
    rawBody(0, "chunks", Buffer.from("all is loaded"));
    const fds = [];
    try { for (;;) fds.push(openSync("/dev/null")); } catch {}
    closeSync(fds.pop());
    const body = rawBody(0, "chunks", Buffer.alloc(1));
    openSync("/dev/null"); // the fd that was left
    console.log(String(body));`;
  const limited = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", process.execPath, "-e", script];
  const { stdout, stderr } = Bun.spawnSync(limited);
  expect(`${stdout}${stderr}`).toBe("undefined\n");
});
