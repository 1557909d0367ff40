import { expect, test } from "bun:test";
import { PassThrough } from "node:stream";
import { API_BODIES_MAX_BYTES, API_BODY_ASSURED_BYTES, API_BODY_MAX_BYTES } from "../../base/limits.ts";
import { parseJsonBody, readBody } from "./body.ts";

const MIB = 1024 * 1024;

test("a body that does not come is given up", async () => {
  const body = new PassThrough();
  body.write("{");
  await expect(readBody(body, { timeoutMs: 10 })).rejects.toMatchObject({ code: "timed-out" });
});

test("a body that is cut off is no body", async () => {
  const body = new PassThrough();
  const read = readBody(body);
  body.write("{}");
  body.destroy();
  await expect(read).rejects.toThrow("the request's body ended early");
});

test("of a stream as much is read as the body has, and the rest stays", async () => {
  const stream = new PassThrough();
  stream.write('{"a":1}input');
  expect(`${await readBody(stream, { bytes: 7 })}`).toBe('{"a":1}');
  expect(`${stream.read()}`).toBe("input");
  stream.end("more");
  await expect(readBody(stream, { bytes: 5 })).rejects.toThrow("ended early");
  await expect(readBody(stream, { bytes: API_BODY_MAX_BYTES + 1 })).rejects.toThrow("larger than the limit");
});

test("unfinished bodies together hold no more than their limit, small ones come through, and all is given back", async () => {
  const size = 8 * MIB;
  const begun: { stream: PassThrough; read: Promise<Buffer> }[] = [];
  const begin = (bytes: number) => {
    const stream = new PassThrough({ highWaterMark: size });
    const read = readBody(stream);
    read.catch(() => {});
    stream.write(Buffer.alloc(bytes));
    begun.push({ stream, read });
    return begun.at(-1)!;
  };
  // The first part of each body does not count.
  for (let held = 0; held <= API_BODIES_MAX_BYTES; held += size - API_BODY_ASSURED_BYTES) begin(size);
  await expect(begun.at(-1)!.read).rejects.toMatchObject({ code: "unavailable" });
  const small = begin(1000);
  small.stream.end();
  expect(await small.read).toHaveLength(1000);
  for (const { stream } of begun) stream.destroy();
  await Promise.allSettled(begun.map(({ read }) => read));
  const next = begin(size);
  next.stream.end();
  expect(await next.read).toHaveLength(size);
});

test("only JSON that says so is read as such, with Docker's texts", () => {
  const body = Buffer.from("{}");
  for (const type of ["application/json", "Application/JSON; charset=utf-8"])
    expect(parseJsonBody(body, type)).toEqual({});
  expect(parseJsonBody(Buffer.alloc(0), undefined)).toBeUndefined();
  expect(parseJsonBody(Buffer.alloc(0), "application/json")).toBeUndefined();
  for (const [type, message] of [
    ["text/plain", "unsupported Content-Type header (text/plain): must be 'application/json'"],
    [undefined, "malformed Content-Type header (): mime: no media type"],
    ["a b; x", "malformed Content-Type header (a b; x): mime: expected slash after first token"],
  ] as const)
    expect(() => parseJsonBody(body, type)).toThrow(message);
  expect(() => parseJsonBody(Buffer.alloc(0), "text/plain")).toThrow("unsupported Content-Type");
});
