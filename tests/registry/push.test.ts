/** Uploads to a registry that misbehaves. */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Digest } from "../../src/base/ids.ts";
import { MEDIA_TYPE } from "../../src/spec/oci-image.ts";
import { FakeRegistry, type Fault } from "../support/fake-registry.ts";
import { sha256 } from "../support/image-archive.ts";
import { openClient, timing } from "./support.ts";

const bytes = randomBytes(1_000_000);
const descriptor = { digest: `sha256:${sha256(bytes)}` as Digest, size: bytes.length };

/** How often the source was opened, and whether each was closed again. */
function source(content = bytes): {
  open: () => AsyncGenerator<Uint8Array, void>;
  opened: () => number;
  closed: () => number;
} {
  let [opened, closed] = [0, 0];
  return {
    opened: () => opened,
    closed: () => closed,
    async *open() {
      opened++;
      try {
        for (let at = 0; at < content.length; at += 65536) yield content.subarray(at, at + 65536);
      } finally {
        closed++;
      }
    },
  };
}

const opens = (registry: FakeRegistry) => openClient(registry, "a/b", { actions: "pull,push" });

test("a blob is sent with its length, and progress is told to its end", async () => {
  await using registry = await FakeRegistry.start();
  const client = await opens(registry);
  const counts: number[] = [];
  await client.uploadBlob(descriptor, source().open, (count) => counts.push(count));
  expect((registry.blobs.get(descriptor.digest) as Buffer).equals(bytes)).toBe(true);
  expect(counts).toEqual([...counts].sort((a, b) => a - b));
  expect(counts.at(-1)).toBe(bytes.length);
  const put = registry.requests.at(-1)!;
  expect([put.method, put.headers.get("content-length"), put.headers.get("transfer-encoding")]).toEqual([
    "PUT",
    `${bytes.length}`,
    undefined,
  ]);
  const empty = { digest: `sha256:${sha256("")}` as Digest, size: 0 };
  await client.uploadBlob(empty, source(Buffer.alloc(0)).open);
  expect(await client.hasBlob(empty.digest)).toBe(true);
});

test("an upload that breaks, stalls or finds the registry busy begins anew", async () => {
  const faults: Fault[] = [
    { kind: "cut", at: -1 },
    { kind: "stall", at: -1 },
    { kind: "answer", status: 503 },
  ];
  for (const fault of faults)
    for (const method of ["POST", "PUT"]) {
      await using registry = await FakeRegistry.start();
      registry.inject({ method, path: /uploads/, times: timing.attempts - 1, fault });
      const { open, opened, closed } = source();
      await (await opens(registry)).uploadBlob(descriptor, open);
      expect(registry.blobs.has(descriptor.digest)).toBe(true);
      expect(opened()).toBe(method === "PUT" ? timing.attempts : 1);
      expect(closed()).toBe(opened());
    }
});

const refusals: [string, string, Fault, object][] = [
  [
    "denied",
    "POST",
    {
      kind: "answer",
      status: 403,
      body: '{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}',
    },
    { message: "denied: requested access to the resource is denied" },
  ],
  [
    "unauthorized",
    "PUT",
    { kind: "answer", status: 401 },
    { code: "unauthorized", message: "unauthorized: authentication required" },
  ],
  [
    "a place that is no URL",
    "POST",
    { kind: "answer", status: 202, headers: { Location: "http://[" } },
    {
      code: "unavailable",
      message: `upload blob ${descriptor.digest} to HOST: the registry named no valid place for it`,
    },
  ],
  [
    "a place that is missing",
    "POST",
    { kind: "answer", status: 202 },
    {
      code: "unavailable",
      message: `upload blob ${descriptor.digest} to HOST: the registry named no valid place for it`,
    },
  ],
  [
    "too large",
    "PUT",
    { kind: "answer", status: 413, headers: { "Content-Type": "text/html" }, body: "<h1>too large</h1>" },
    {
      code: "invalid",
      message: expect.stringContaining(
        "error parsing HTTP 413 response body: invalid character '<' looking for beginning of value: \"<h1>too large</h1>\"",
      ),
    },
  ],
  ["500 each time", "PUT", { kind: "answer", status: 500 }, { code: "unavailable", status: 500 }],
];

for (const [what, method, fault, expected] of refusals)
  test(`an upload's refusal is passed on: ${what}`, async () => {
    await using registry = await FakeRegistry.start();
    registry.inject({ method, path: /uploads/, fault });
    const message = (expected as { message?: unknown }).message;
    const named =
      typeof message === "string" ? { ...expected, message: message.replace("HOST", registry.host) } : expected;
    const { open, opened, closed } = source();
    await expect((await opens(registry)).uploadBlob(descriptor, open)).rejects.toMatchObject(named);
    expect(closed()).toBe(opened());
  });

test("a source of another length is refused before the registry has it", async () => {
  for (const content of [bytes.subarray(1), Buffer.concat([bytes, bytes])]) {
    await using registry = await FakeRegistry.start();
    const upload = (await opens(registry)).uploadBlob(descriptor, source(content).open);
    await expect(upload).rejects.toMatchObject({
      code: "invalid",
      message: expect.stringMatching(/bytes of it were read, and it should have 1000000$/),
    });
    expect(registry.blobs.size).toBe(0);
  }
});

test("a source that fails ends the upload with its own error", async () => {
  await using registry = await FakeRegistry.start();
  async function* broken(): AsyncGenerator<Uint8Array, void> {
    yield bytes.subarray(0, 1000);
    throw new Error("the disk is gone");
  }
  await expect((await opens(registry)).uploadBlob(descriptor, broken)).rejects.toThrow("the disk is gone");
});

test("a token that runs out between the two requests is replaced once", async () => {
  await using registry = await FakeRegistry.start({ users: { bob: "secret" } });
  const credentials = { username: "bob", password: "secret" };
  const options = { credentials, actions: "pull,push", timing: { ...timing, attempts: 1 } } as const;
  const client = await openClient(registry, "a/b", options);
  registry.inject({
    method: "PUT",
    path: /uploads/,
    times: 1,
    fault: {
      kind: "answer",
      status: 401,
      headers: { "WWW-Authenticate": `Bearer realm="${registry.url}/token",service="fake"` },
    },
  });
  await client.uploadBlob(descriptor, source().open);
  expect(registry.blobs.has(descriptor.digest)).toBe(true);
  const made = registry.requests.filter(({ path }) => path.includes("/uploads/")).map(({ method }) => method);
  expect(made).toEqual(["POST", "POST", "PUT", "POST", "PUT"]); // the first without a token
});

test("a manifest is put under a tag or its digest, and what the registry stored is checked", async () => {
  await using registry = await FakeRegistry.start();
  const client = await opens(registry);
  const manifest = new Uint8Array(Buffer.from('{"schemaVersion":2}'));
  const digest = `sha256:${sha256(manifest)}` as Digest;
  expect(await client.putManifest("1", MEDIA_TYPE.ociManifest, manifest)).toBe(digest);
  expect(await client.putManifest(digest, MEDIA_TYPE.ociManifest, manifest)).toBe(digest);
  expect(registry.manifests.get("a/b")!.get("1")).toMatchObject({ mediaType: MEDIA_TYPE.ociManifest });
  registry.inject({
    method: "PUT",
    path: /manifests/,
    fault: { kind: "answer", status: 201, headers: { "Docker-Content-Digest": "sha256:0" } },
  });
  await expect(client.putManifest("1", MEDIA_TYPE.ociManifest, manifest)).rejects.toMatchObject({
    code: "invalid",
    message: `${registry.host}/a/b:1: the registry stored sha256:0, not ${digest}`,
  });
});
