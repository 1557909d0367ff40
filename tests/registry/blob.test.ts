/** Downloads of blobs from a registry that misbehaves. */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { openBlob } from "../../src/image/registry/mod.ts";
import { FakeRegistry, type Fault } from "../support/fake-registry.ts";
import { readBlob, sourceOf, timing } from "./support.ts";

/** Much more than fetch holds back: what it has not yet handed over when a connection breaks is lost. */
const bytes = randomBytes(12_000_000);

async function start(): Promise<{ registry: FakeRegistry; source: ReturnType<typeof sourceOf>; digest: string }> {
  const registry = await FakeRegistry.start();
  const digest = registry.addBlob(bytes);
  return { registry, source: sourceOf(registry, digest, bytes.length), digest };
}

const ranges = (registry: FakeRegistry): (string | undefined)[] =>
  registry.requests.map(({ headers }) => headers.get("range"));

test("a blob is read whole, from an offset, and from its end", async () => {
  const { registry, source } = await start();
  await using _ = registry;
  expect((await readBlob(source)).equals(bytes)).toBe(true);
  expect((await readBlob(source, 1_234_567)).equals(bytes.subarray(1_234_567))).toBe(true);
  expect(await readBlob(source, bytes.length)).toHaveLength(0);
  expect(ranges(registry)).toEqual([undefined, "bytes=1234567-"]);
});

const resumed: [string, Fault][] = [
  ["cut", { kind: "cut", at: 7_000_000 }],
  ["stalls", { kind: "stall", at: 7_000_000 }],
  ["ends early in answer to a chunked request", { kind: "raw", bytes: chunkedPart(7_000_000) }],
];

/** A chunked answer that ends properly, and early. */
function chunkedPart(length: number): Buffer {
  return Buffer.concat([
    Buffer.from(
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${length === 0 ? "" : `${length.toString(16)}\r\n`}`,
    ),
    bytes.subarray(0, length),
    Buffer.from(`${length === 0 ? "" : "\r\n"}0\r\n\r\n`),
  ]);
}

for (const [what, fault] of resumed)
  test(`a download that ${what} goes on where it stopped`, async () => {
    const { registry, source } = await start();
    await using _ = registry;
    registry.inject({ path: /blobs/, times: 1, fault });
    expect((await readBlob(source)).equals(bytes)).toBe(true);
    const [first, second] = ranges(registry);
    expect(first).toBeUndefined();
    // What came before the break may not all have reached us.
    const position = Number(/^bytes=(\d+)-$/.exec(second ?? "")?.[1] ?? 0);
    expect(position).toBeGreaterThan(0);
    expect(position).toBeLessThanOrEqual(7_000_000);
  });

test("a registry that ignores the range gives the whole blob again, of which the known part is dropped", async () => {
  const { registry, source } = await start();
  await using _ = registry;
  registry.inject({ path: /blobs/, fault: { kind: "ignoreRange" } });
  expect((await readBlob(source, 900_000)).equals(bytes.subarray(900_000))).toBe(true);
});

test("a registry that gives less than the range is asked for the rest", async () => {
  const { registry, source } = await start();
  await using _ = registry;
  registry.inject({ path: /blobs/, fault: { kind: "shortRange", bytes: 5_000_000 } });
  expect((await readBlob(source, 1000)).equals(bytes.subarray(1000))).toBe(true);
  expect(ranges(registry)).toEqual(["bytes=1000-", "bytes=5001000-", "bytes=10001000-"]);
});

test("answers that end properly and hold nothing end the download, too", async () => {
  const { registry, source } = await start();
  await using _ = registry;
  registry.inject({ path: /blobs/, fault: { kind: "raw", bytes: chunkedPart(0) } });
  await expect(readBlob(source)).rejects.toMatchObject({
    failure: "broken",
    message: `read blob ${source.digest} from ${registry.host}: the answer ended after 0 of 12000000 bytes`,
  });
  expect(registry.requests).toHaveLength(timing.attempts);
});

test("a chunked answer without a length is read to its end", async () => {
  const { registry, source } = await start();
  await using _ = registry;
  registry.inject({ path: /blobs/, fault: { kind: "chunked" } });
  expect((await readBlob(source)).equals(bytes)).toBe(true);
});

test("failures with progress between them do not add up; without any they end the download", async () => {
  const { registry, source } = await start();
  await using _ = registry;
  const breaks = 2 * timing.attempts;
  registry.inject({ path: /blobs/, times: breaks, fault: { kind: "cut", at: 1_900_000 } });
  expect((await readBlob(source)).equals(bytes)).toBe(true);
  expect(registry.requests).toHaveLength(breaks + 1);
  registry.requests.length = 0;
  registry.inject({ path: /blobs/, fault: { kind: "cut", at: 0 } });
  await expect(readBlob(source)).rejects.toMatchObject({ code: "unavailable", failure: "broken" });
  expect(registry.requests).toHaveLength(timing.attempts);
});

test("5xx and 429 are tried again, after as long as Retry-After says; a longer one is a refusal", async () => {
  const { registry, source } = await start();
  await using _ = registry;
  const answer = (status: number, retryAfter?: string): Fault => ({
    kind: "answer",
    status,
    ...(retryAfter === undefined ? {} : { headers: { "Retry-After": retryAfter } }),
  });
  registry.inject({ path: /blobs/, times: 1, fault: answer(503) });
  registry.inject({ path: /blobs/, times: 1, fault: answer(429, "1") });
  const startMs = performance.now();
  expect((await readBlob(source)).equals(bytes)).toBe(true);
  expect(performance.now() - startMs).toBeGreaterThan(990);
  registry.requests.length = 0;
  registry.inject({ path: /blobs/, times: 1, fault: answer(429, "3600") });
  await expect(readBlob(source)).rejects.toMatchObject({ status: 429, code: "unavailable" });
  expect(registry.requests).toHaveLength(1);
});

const HOST = "HOST";
const malformed = (rest: string): Fault => ({ kind: "raw", bytes: `HTTP/1.1 200 OK\r\n${rest}` });
const refused: [string, Fault, object][] = [
  [
    "a shorter blob",
    { kind: "lie", bytes: -1000 },
    { code: "invalid", message: `read blob DIGEST from ${HOST}: it has 11999000 bytes in place of 12000000` },
  ],
  [
    "a longer blob",
    { kind: "lie", bytes: 1 },
    { code: "invalid", message: `read blob DIGEST from ${HOST}: it has 12000001 bytes in place of 12000000` },
  ],
  [
    "a web page",
    { kind: "answer", status: 200, headers: { "Content-Type": "text/html" }, body: "<html>log in</html>" },
    { code: "invalid", message: `read blob DIGEST from ${HOST}: it answered with a web page` },
  ],
  [
    "a web page with 404",
    { kind: "answer", status: 404, headers: { "Content-Type": "text/html" }, body: "<html>\n\x1b[31mgone</html>" },
    {
      code: "not-found",
      message: `Get "http://${HOST}/v2/a/blobs/DIGEST": error parsing HTTP 404 response body: invalid character '<' looking for beginning of value: "<html> [31mgone</html>"`,
    },
  ],
  [
    "401",
    { kind: "answer", status: 401 },
    { code: "unauthorized", status: 401, message: "unauthorized: authentication required" },
  ],
  [
    "a head that is too long",
    { kind: "raw", bytes: `HTTP/1.1 200 OK\r\nX: ${"x".repeat(9_000_000)}` },
    { failure: "malformed" },
  ],
  ["a hundred thousand headers", malformed("X: y\r\n".repeat(100_000)), { failure: "malformed" }],
  ["two lengths", malformed("Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"), { failure: "malformed" }],
  ["a chunk without a size", malformed("Transfer-Encoding: chunked\r\n\r\nzz\r\nab"), { failure: "malformed" }],
  ["something that is not HTTP", { kind: "raw", bytes: "HTTP/1.1 banana\r\n\r\n" }, { code: "unavailable" }],
  [
    "a redirect to nowhere",
    { kind: "redirect", location: "" },
    { code: "unavailable", message: `Get "http://${HOST}/v2/a/blobs/DIGEST": redirected to no valid place` },
  ],
  [
    "a redirect to a file",
    { kind: "redirect", location: "file:///etc/passwd" },
    { code: "unavailable", message: `Get "http://${HOST}/v2/a/blobs/DIGEST": redirected to file:` },
  ],
];

for (const [what, fault, expected] of refused)
  test(`${what} is refused by name`, async () => {
    const { registry, source, digest } = await start();
    await using _ = registry;
    registry.inject({ path: /blobs/, fault });
    const named = JSON.parse(JSON.stringify(expected).replaceAll(HOST, registry.host).replaceAll("DIGEST", digest));
    await expect(readBlob(source)).rejects.toMatchObject(named);
  });

test("a chunked answer that is longer than the blob is refused", async () => {
  const { registry, source } = await start();
  await using _ = registry;
  registry.inject({ path: /blobs/, fault: { kind: "chunked" } });
  const shorter = { ...source, sizeBytes: bytes.length - 1 };
  await expect(readBlob(shorter)).rejects.toMatchObject({ code: "invalid" });
});

test("a range that begins elsewhere is refused, as is one beyond the end", async () => {
  const { registry, source } = await start();
  await using _ = registry;
  registry.inject({ path: /blobs/, times: 1, fault: { kind: "shiftRange", bytes: 5 } });
  await expect(readBlob(source, 100)).rejects.toMatchObject({
    code: "invalid",
    message: `read blob ${source.digest} from ${registry.host}: asked for bytes from 100 of 12000000, it sends "bytes 105-11999999/12000000"`,
  });
  const head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 100-99/12000000\r\nContent-Length: 0\r\n\r\n";
  registry.inject({ path: /blobs/, times: 1, fault: { kind: "raw", bytes: head } });
  await expect(readBlob(source, 100)).rejects.toMatchObject({ code: "invalid" });
  const longer = { ...source, sizeBytes: bytes.length + 10 };
  await expect(readBlob(longer, bytes.length)).rejects.toMatchObject({
    code: "invalid",
    message: `read blob ${source.digest} from ${registry.host}: it has no byte 12000000: it is shorter than 12000010 bytes`,
  });
});

test("redirects are followed, without authorization to another host, and not for ever", async () => {
  const { registry, source, digest } = await start();
  await using _ = registry;
  await using storage = await FakeRegistry.start();
  storage.addBlob(bytes);
  const place = `/v2/storage/blobs/${digest}`;
  const authorized = { ...source, endpoints: [{ ...source.endpoints[0]!, authorization: "Bearer abc" }] };
  registry.inject({ path: /\/a\//, times: 1, fault: { kind: "redirect", location: `${storage.url}${place}` } });
  expect((await readBlob(authorized)).equals(bytes)).toBe(true);
  registry.inject({ path: /\/a\//, times: 1, fault: { kind: "redirect", location: place } });
  expect((await readBlob(authorized, 10)).equals(bytes.subarray(10))).toBe(true);
  expect(storage.requests.map(({ headers }) => headers.get("authorization"))).toEqual([undefined]);
  expect(registry.requests.map(({ headers }) => headers.get("authorization"))).toEqual(Array(3).fill("Bearer abc"));
  expect(registry.requests.at(-1)).toMatchObject({ path: place });

  registry.requests.length = 0;
  registry.inject({ path: /blobs/, fault: { kind: "redirect", location: source.endpoints[0]!.url } });
  await expect(readBlob(source)).rejects.toMatchObject({
    code: "unavailable",
    message: `Get "${source.endpoints[0]!.url}": stopped after 10 redirects`,
  });
  expect(registry.requests).toHaveLength(11);
});

test("the next endpoint takes over where one refuses, breaks for good, or lies about the length", async () => {
  await using mirror = await FakeRegistry.start();
  const { registry, source, digest } = await start();
  await using _ = registry;
  mirror.addBlob(bytes);
  const endpoints = [...sourceOf(mirror, digest, bytes.length).endpoints, ...source.endpoints];
  const faults: Fault[] = [
    { kind: "answer", status: 401 },
    { kind: "answer", status: 404 },
    { kind: "cut", at: 0 },
    { kind: "lie", bytes: 7 },
  ];
  for (const fault of faults) {
    registry.requests.length = 0;
    mirror.inject({ path: /blobs/, times: 3, fault });
    expect((await readBlob({ ...source, endpoints })).equals(bytes)).toBe(true);
    expect(registry.requests).toHaveLength(1);
  }
  // Begun at the mirror, which then is gone, and finished at the registry.
  registry.requests.length = 0;
  mirror.inject({ path: /blobs/, fault: { kind: "cut", at: 0 } });
  mirror.inject({ path: /blobs/, times: 1, fault: { kind: "cut", at: 7_000_000 } });
  expect((await readBlob({ ...source, endpoints })).equals(bytes)).toBe(true);
  expect(ranges(registry)[0]).toMatch(/^bytes=\d+-$/);
});

test("a reader that is slow slows the registry, and one that leaves closes the connection", async () => {
  await using registry = await FakeRegistry.start();
  const size = 512 * 1024 * 1024;
  const source = sourceOf(registry, registry.addPatternBlob(size), size);
  let read = 0;
  for await (const piece of openBlob(source, 0)) {
    read += piece.length;
    if (read < 8 * 1024 * 1024) continue;
    // Until the registry's socket takes no more: what it has sent stays the same over many turns of the loop.
    let [last, same] = [-1, 0];
    while (same < 50) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      same = registry.sentBytes === last ? same + 1 : 0;
      last = registry.sentBytes;
    }
    expect(last - read).toBeLessThan(16 * 1024 * 1024);
    break;
  }
  while (registry.connections > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(registry.sentBytes).toBeLessThan(size);
});

test("whoever waits for a blob may give up", async () => {
  const { registry, source } = await start();
  await using _ = registry;
  for (const at of [-1, 0, 1000]) {
    registry.inject({ path: /blobs/, times: 1, fault: { kind: "stall", at } });
    const controller = new AbortController();
    const before = registry.requests.length;
    const patient = { timing: { ...timing, stallMs: 60_000 }, signal: controller.signal };
    const download = Array.fromAsync(openBlob(source, 0, patient));
    download.catch(() => {});
    while (registry.requests.length === before) await new Promise((resolve) => setTimeout(resolve, 2));
    controller.abort(new Error("the user has gone"));
    await expect(download).rejects.toThrow("the user has gone");
  }
});

test("a registry that is away for a moment is waited for", async () => {
  const { registry, source } = await start();
  await registry[Symbol.asyncDispose]();
  // Each attempt reads the limit: the second one shows that the first has failed.
  const tryingAgain = Promise.withResolvers<void>();
  let reads = 0;
  const patient = {
    attempts: 100,
    pauseMs: 20,
    get stallMs() {
      if (++reads === 2) tryingAgain.resolve();
      return timing.stallMs;
    },
  };
  const download = Array.fromAsync(openBlob(source, 0, { timing: patient }));
  await tryingAgain.promise;
  await using again = await FakeRegistry.start({ port: Number(registry.host.split(":")[1]) });
  again.addBlob(bytes);
  expect(Buffer.concat(await download).equals(bytes)).toBe(true);
});

test("a registry that is not there is named", async () => {
  const { registry, source } = await start();
  const { host } = registry;
  await registry[Symbol.asyncDispose]();
  await expect(readBlob(source)).rejects.toMatchObject({
    code: "unavailable",
    failure: "refused",
    message: `Get "http://${host}/v2/": dial tcp ${host}: connect: connection refused`,
  });
});
