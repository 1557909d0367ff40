/** Manifests from a registry that lies, and from mirrors. */
import { expect, test } from "bun:test";
import { RegistryClient } from "../../src/image/registry/mod.ts";
import { MEDIA_TYPE } from "../../src/spec/oci-image.ts";
import { FakeRegistry, type Fault } from "../support/fake-registry.ts";
import { sha256 } from "../support/image-archive.ts";
import { config, openClient, timing } from "./support.ts";

const layers = [Buffer.from("a layer")];

test("a manifest is read by tag and by digest, and HEAD is enough to resolve it", async () => {
  await using registry = await FakeRegistry.start();
  const image = registry.addImage("team/app", "1", { layers });
  const client = await openClient(registry, "team/app");
  for (const reference of ["1", image.digest]) {
    const { descriptor, bytes } = await client.getManifest(reference);
    expect(descriptor).toEqual({
      mediaType: MEDIA_TYPE.ociManifest,
      digest: image.digest as never,
      size: bytes.length,
    });
    expect(`sha256:${sha256(bytes)}`).toBe(image.digest);
    expect(await client.resolve(reference)).toEqual(descriptor);
  }
  expect(registry.requests.map(({ method }) => method)).toEqual(["GET", "HEAD", "GET", "HEAD"]);
  const accept = registry.requests[0]!.headers.get("accept") ?? "";
  const { ociIndex, ociManifest, dockerIndex, dockerManifest } = MEDIA_TYPE;
  expect(accept.split(", ").sort()).toEqual([ociIndex, ociManifest, dockerIndex, dockerManifest].sort());
});

test("each kind of manifest is known by its own media type, by the registry's word, or by its fields", async () => {
  await using registry = await FakeRegistry.start();
  const client = await openClient(registry, "a");
  const cases: [string, object, string][] = [
    [
      MEDIA_TYPE.dockerIndex,
      { schemaVersion: 2, mediaType: MEDIA_TYPE.dockerIndex, manifests: [] },
      MEDIA_TYPE.dockerIndex,
    ],
    [
      "application/json",
      { schemaVersion: 2, mediaType: MEDIA_TYPE.dockerManifest, layers: [] },
      MEDIA_TYPE.dockerManifest,
    ],
    [MEDIA_TYPE.ociIndex, { schemaVersion: 2, manifests: [] }, MEDIA_TYPE.ociIndex],
    ["text/plain; charset=utf-8", { schemaVersion: 2, manifests: [] }, MEDIA_TYPE.ociIndex],
    ["", { schemaVersion: 2, layers: [] }, MEDIA_TYPE.ociManifest],
  ];
  for (const [header, document, expected] of cases) {
    registry.addManifest("a", "t", header, Buffer.from(JSON.stringify(document)));
    expect((await client.getManifest("t")).descriptor.mediaType).toBe(expected);
    expect((await client.resolve("t")).mediaType).toBe(expected);
  }
});

const WHAT = "manifest of HOST/a:1 from HOST";
const lies: [string, Fault, object][] = [
  [
    "a corrupt document",
    { kind: "corrupt", at: 20 },
    {
      code: "invalid",
      message: expect.stringMatching(
        /^manifest verification failed for digest sha256:.* its digest is sha256:[0-9a-f]{64}$/,
      ),
    },
  ],
  [
    "a web page",
    { kind: "answer", status: 200, headers: { "Content-Type": "text/html; charset=utf-8" }, body: "<html>" },
    { code: "invalid", message: `${WHAT}: the registry answered with a web page` },
  ],
  [
    "what is not JSON",
    { kind: "answer", status: 200, body: "banana" },
    { code: "invalid", message: `${WHAT} is not JSON` },
  ],
  [
    "an unknown kind of document",
    { kind: "answer", status: 200, body: '{"schemaVersion":2,"mediaType":"x/y"}' },
    { code: "invalid", message: `${WHAT}: unsupported manifest media type "x/y"` },
  ],
  [
    "schema 1",
    {
      kind: "answer",
      status: 200,
      headers: { "Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws" },
      body: '{"schemaVersion":1}',
    },
    { code: "not-supported", message: expect.stringContaining("manifest schema version 1 is not supported") },
  ],
  [
    "more than 4 MiB",
    { kind: "answer", status: 200, body: "x".repeat(4 * 1024 * 1024 + 1) },
    { code: "invalid", message: `${WHAT} is longer than 4194304 bytes` },
  ],
  ["a document that ends early, each time", { kind: "lie", bytes: 5 }, { code: "unavailable", failure: "broken" }],
  [
    "a stall, each time",
    { kind: "stall", at: 5 },
    { code: "unavailable", failure: "stalled", message: 'Get "http://HOST/v2/a/manifests/1": nothing came for 0.4 s' },
  ],
  [
    "500, each time",
    { kind: "answer", status: 500 },
    { status: 500, message: 'Get "http://HOST/v2/a/manifests/1": received unexpected HTTP status: 500' },
  ],
  [
    "denied",
    {
      kind: "answer",
      status: 403,
      body: '{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}',
    },
    {
      code: "not-found",
      message:
        "pull access denied for HOST/a, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    },
  ],
  [
    "an insufficient scope",
    { kind: "answer", status: 401, headers: { "WWW-Authenticate": 'Bearer error="insufficient_scope"' } },
    {
      code: "not-found",
      message:
        "pull access denied for HOST/a, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    },
  ],
  [
    "an unknown repository",
    {
      kind: "answer",
      status: 404,
      body: '{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}',
    },
    { code: "not-found", message: "repository HOST/a not found: name unknown: repository name not known to registry" },
  ],
  [
    "a rate limit",
    {
      kind: "answer",
      status: 429,
      headers: { "Retry-After": "21600" },
      body: '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}',
    },
    { code: "unavailable", message: "toomanyrequests: You have reached your pull rate limit." },
  ],
];

for (const [what, fault, expected] of lies)
  test(`${what} is refused by name`, async () => {
    await using registry = await FakeRegistry.start();
    registry.addImage("a", "1", { layers });
    registry.inject({ path: /manifests/, fault });
    const message = (expected as { message?: unknown }).message;
    const named =
      typeof message === "string" ? { ...expected, message: message.replaceAll("HOST", registry.host) } : expected;
    await expect((await openClient(registry, "a")).getManifest("1")).rejects.toMatchObject(named);
  });

test("another manifest than the one asked for by digest is refused, whatever the registry calls it", async () => {
  await using registry = await FakeRegistry.start();
  const one = registry.addImage("a", "1", { layers });
  const two = registry.addImage("a", "2", { layers: [] });
  const manifests = registry.manifests.get("a")!;
  manifests.set(one.digest, manifests.get(two.digest)!);
  const client = await openClient(registry, "a");
  await expect(client.getManifest(one.digest)).rejects.toMatchObject({
    code: "invalid",
    message: `manifest verification failed for digest ${one.digest}: manifest of ${registry.host}/a@${one.digest} from ${registry.host}: its digest is ${two.digest}`,
  });
  await expect(client.resolve(one.digest)).rejects.toMatchObject({ code: "invalid" });
});

test("transient failures on the way to a manifest are not seen", async () => {
  await using registry = await FakeRegistry.start();
  const image = registry.addImage("a", "1", { layers });
  registry.inject({ path: /manifests/, times: 1, fault: { kind: "cut", at: 10 } });
  registry.inject({
    path: /manifests/,
    times: 1,
    fault: { kind: "answer", status: 502, body: "<html>bad gateway</html>" },
  });
  expect((await (await openClient(registry, "a")).getManifest("1")).descriptor.digest).toBe(image.digest as never);
  expect(registry.requests).toHaveLength(3);
});

test("HEAD that does not say enough, or is not allowed, is followed by GET", async () => {
  await using registry = await FakeRegistry.start();
  const image = registry.addImage("a", "1", { layers });
  const client = await openClient(registry, "a");
  for (const status of [200, 403, 405]) {
    registry.inject({ method: "HEAD", path: /manifests/, times: 1, fault: { kind: "answer", status } });
    expect((await client.resolve("1")).digest).toBe(image.digest as never);
  }
});

test("an image's config is read whole and verified", async () => {
  await using registry = await FakeRegistry.start();
  const bytes = Buffer.from('{"os":"linux"}');
  const digest = registry.addBlob(bytes);
  const client = await openClient(registry, "a");
  const descriptor = { digest: digest as never, size: bytes.length };
  expect((await client.getBlob(descriptor)).equals(bytes)).toBe(true);
  registry.inject({ path: /blobs/, fault: { kind: "corrupt", at: 3 } });
  await expect(client.getBlob(descriptor)).rejects.toMatchObject({
    code: "invalid",
    message: expect.stringContaining(`blob ${digest} from ${registry.host}: its digest is sha256:`),
  });
  await expect(client.getBlob({ ...descriptor, size: 5_000_000 })).rejects.toMatchObject({ code: "invalid" });
});

test("tags are listed page by page, and a list without an end has one", async () => {
  await using registry = await FakeRegistry.start();
  for (const tag of ["a", "b", "c", "d", "e"]) registry.addImage("x/y", tag, { layers });
  registry.inject({ path: "/v2/x/y/tags/list", fault: { kind: "redirect", location: "/v2/x/y/tags/list?n=2" } });
  const client = await openClient(registry, "x/y");
  expect(await client.listTags()).toEqual(["a", "b", "c", "d", "e"]);
  const elsewhere = {
    kind: "answer",
    status: 200,
    headers: { Link: '<http://127.0.0.2:1/v2/>; rel="next"' },
    body: '{"tags":["a"]}',
  } as const;
  registry.inject({ path: /tags/, fault: elsewhere });
  expect(await client.listTags()).toEqual(["a"]);
  const body = JSON.stringify({ tags: Array(400_000).fill("t") });
  registry.inject({
    path: /tags/,
    fault: { kind: "answer", status: 200, headers: { Link: '</v2/x/y/tags/list?n=1>; rel="next"' }, body },
  });
  await expect(client.listTags()).rejects.toMatchObject({
    code: "invalid",
    message: `tags of ${registry.host}/x/y: more than 1000000`,
  });
});

// --- Mirrors: of docker.io only, so its own host must not be asked in these tests. ---

async function openMirrored(mirrors: readonly FakeRegistry[]): Promise<RegistryClient> {
  const urls = mirrors.map(({ url }) => `${url}/`);
  const options = { timing, credentials: { username: "bob", password: "secret" } };
  return RegistryClient.open({ ...config, mirrors: urls }, { domain: "docker.io", path: "library/app" }, options);
}

test("a mirror is asked first, never with the registry's credentials; one that has not the image is left out", async () => {
  await using empty = await FakeRegistry.start();
  await using full = await FakeRegistry.start({ users: { carol: "x" }, anonymousPull: true });
  const image = full.addImage("library/app", "1", { layers });
  const client = await openMirrored([empty, full]);
  expect((await client.getManifest("1")).descriptor.digest).toBe(image.digest as never);
  expect((await client.getManifest(image.digest)).descriptor.digest).toBe(image.digest as never);
  expect(empty.requests).toHaveLength(1);
  for (const { headers } of [...empty.requests, ...full.requests])
    expect(headers.get("authorization") ?? "").not.toContain("Basic");
});

test("tags are a mirror's that has some", async () => {
  await using empty = await FakeRegistry.start();
  await using full = await FakeRegistry.start();
  for (const tag of ["1", "2"]) full.addImage("library/app", tag, { layers });
  const client = await openMirrored([empty, full]);
  expect((await client.listTags()).sort()).toEqual(["1", "2"]);
  expect((await client.getManifest("2")).descriptor.mediaType).toBe(MEDIA_TYPE.ociManifest);
});

test("mirrors are for docker.io only", async () => {
  await using mirror = await FakeRegistry.start();
  await using registry = await FakeRegistry.start();
  const image = registry.addImage("library/app", "1", { layers });
  const mirrored = { ...config, mirrors: [mirror.url] };
  const client = await RegistryClient.open(mirrored, { domain: registry.host, path: "library/app" }, { timing });
  expect((await client.getManifest("1")).descriptor.digest).toBe(image.digest as never);
  expect(mirror.requests).toEqual([]);
});
