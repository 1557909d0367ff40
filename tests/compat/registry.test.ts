/** Our registry client and Debian's docker-registry, with skopeo as the other client. */
import { afterAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Digest } from "../../src/base/ids.ts";
import { checkAuth, openBlob, RegistryClient, type RegistryConfig } from "../../src/image/registry/mod.ts";
import { type Descriptor, MEDIA_TYPE, parseManifest } from "../../src/spec/oci-image.ts";
import type { AuthConfig } from "../../src/spec/registry-auth.ts";
import { hasOpenssl, makeCertificates } from "../support/certificates.ts";
import { DockerRegistry, hasDockerRegistry } from "../support/docker-registry.ts";
import { ociLayout, sha256 } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { testIf } from "../support/test-if.ts";

const directory = mkdtempSync(join(tmpdir(), "lighter-registry-compat-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const both = testIf(hasDockerRegistry && existsSync("/usr/bin/skopeo"), "needs docker-registry and skopeo");
/** No certificates of the host's. */
const config: RegistryConfig = { certificatesPath: join(directory, "certs.d") };

const layers = [
  rawTar({ name: "greeting", content: "hello\n" }),
  rawTar({ name: "large", content: Buffer.alloc(3_000_000, "registry ") }),
];

function skopeo(...args: string[]): string {
  const done = spawnSync("skopeo", args, { encoding: "utf8", timeout: 60_000 });
  if (done.status !== 0) throw new Error(`skopeo ${args.join(" ")}: ${done.stderr}`);
  return done.stdout;
}

/** An OCI layout on disk with one image; returns its files too. */
function makeLayout(name: string): { path: string; files: Map<string, Buffer> } {
  const files = ociLayout({ layers });
  const path = join(directory, name);
  for (const [file, bytes] of files) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), bytes);
  }
  return { path, files };
}

function open(registry: DockerRegistry, path: string, credentials?: AuthConfig, actions?: "pull,push") {
  const options = {
    ...(credentials === undefined ? {} : { credentials }),
    ...(actions === undefined ? {} : { actions }),
  };
  return RegistryClient.open(config, { domain: registry.host, path }, options);
}

async function download(client: RegistryClient, descriptor: Descriptor, offset = 0): Promise<Buffer> {
  const source = JSON.parse(JSON.stringify(await client.describeBlob(descriptor))); // as to another process
  const pieces: Uint8Array[] = [];
  for await (const piece of openBlob(source, offset)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Reads an image with all its blobs; each must be what its digest says. */
async function pull(client: RegistryClient, tagOrDigest: string): Promise<{ digest: Digest; bytes: Buffer }> {
  const { descriptor, bytes } = await client.getManifest(tagOrDigest);
  const manifest = parseManifest(bytes.toString(), "manifest");
  expect(`sha256:${sha256(await client.getBlob(manifest.config))}`).toBe(manifest.config.digest);
  for (const layer of manifest.layers) expect(`sha256:${sha256(await download(client, layer))}`).toBe(layer.digest);
  return { digest: descriptor.digest, bytes };
}

async function* inPieces(bytes: Buffer): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

/** Uploads the image of a layout. */
async function push(client: RegistryClient, tag: string, files: Map<string, Buffer>): Promise<Digest> {
  const index = JSON.parse(files.get("index.json")!.toString());
  const blob = (digest: string): Buffer => files.get(`blobs/${digest.replace(":", "/")}`)!;
  const bytes = new Uint8Array(blob(index.manifests[0].digest));
  const manifest = parseManifest(Buffer.from(bytes).toString(), "manifest");
  for (const descriptor of [manifest.config, ...manifest.layers]) {
    expect(await client.hasBlob(descriptor.digest)).toBe(false);
    const counts: number[] = [];
    await client.uploadBlob(
      descriptor,
      () => inPieces(blob(descriptor.digest)),
      (count) => counts.push(count),
    );
    expect(counts.at(-1)).toBe(descriptor.size);
    expect(await client.hasBlob(descriptor.digest)).toBe(true);
  }
  return client.putManifest(tag, MEDIA_TYPE.ociManifest, bytes);
}

both("what skopeo pushed is read with identical digests, and what we push skopeo reads", async () => {
  await using registry = await DockerRegistry.start();
  const { path, files } = makeLayout("anonymous");
  skopeo(
    "copy",
    "--preserve-digests",
    "--dest-tls-verify=false",
    `oci:${path}:latest`,
    `docker://${registry.host}/team/theirs:1`,
  );
  const client = await open(registry, "team/theirs");
  const theirs = await pull(client, "1");
  const expected = JSON.parse(files.get("index.json")!.toString()).manifests[0].digest;
  expect(theirs.digest).toBe(expected);
  expect(await client.resolve("1")).toEqual({
    mediaType: MEDIA_TYPE.ociManifest,
    digest: expected,
    size: theirs.bytes.length,
  });
  expect((await pull(client, expected)).digest).toBe(expected);

  const pusher = await open(registry, "team/ours", undefined, "pull,push");
  expect(await push(pusher, "2", files)).toBe(expected);
  const inspected = skopeo("inspect", "--raw", "--tls-verify=false", `docker://${registry.host}/team/ours:2`);
  expect(`sha256:${sha256(inspected)}`).toBe(expected);
  const copy = join(directory, "copy");
  skopeo(
    "copy",
    "--preserve-digests",
    "--src-tls-verify=false",
    `docker://${registry.host}/team/ours:2`,
    `oci:${copy}:latest`,
  );
  for (const [name, bytes] of files)
    if (name.startsWith("blobs/")) expect(readFileSync(join(copy, name)).equals(bytes)).toBe(true);
});

both("a blob is read from an offset, mounted from another repository, and tags are listed", async () => {
  await using registry = await DockerRegistry.start();
  const { files } = makeLayout("offsets");
  const client = await open(registry, "a/one", undefined, "pull,push");
  await push(client, "x", files);
  const manifest = parseManifest((await client.getManifest("x")).bytes.toString(), "manifest");
  const layer = manifest.layers[1]!;
  const whole = files.get(`blobs/${layer.digest.replace(":", "/")}`)!;
  for (const offset of [1, 1_000_000, layer.size - 1])
    expect((await download(client, layer, offset)).equals(whole.subarray(offset))).toBe(true);
  expect(await download(client, layer, layer.size)).toHaveLength(0);

  const other = await open(registry, "a/two", undefined, "pull,push");
  expect(await other.hasBlob(layer.digest)).toBe(false);
  expect(await other.mountBlob(layer.digest, "a/one")).toBe(true);
  expect(await other.hasBlob(layer.digest)).toBe(true);
  expect(await other.mountBlob(`sha256:${"0".repeat(64)}` as Digest, "a/one")).toBe(false);

  const { bytes } = await client.getManifest("x");
  const tags = Array.from({ length: 12 }, (_, index) => `t${String(index).padStart(2, "0")}`);
  for (const tag of tags) await client.putManifest(tag, MEDIA_TYPE.ociManifest, new Uint8Array(bytes));
  expect((await client.listTags()).sort()).toEqual([...tags, "x"]);
});

both("what is not there is named in Docker's words", async () => {
  await using registry = await DockerRegistry.start();
  const { files } = makeLayout("missing");
  await push(await open(registry, "team/app", undefined, "pull,push"), "1", files);
  const client = await open(registry, "team/app");
  const message = `manifest for ${registry.host}/team/app:2 not found: manifest unknown: manifest unknown`;
  for (const ask of [() => client.resolve("2"), () => client.getManifest("2")])
    await expect(ask()).rejects.toMatchObject({ code: "not-found", message });
  const missing = { digest: `sha256:${"1".repeat(64)}` as Digest, size: 10 };
  await expect(client.getBlob(missing)).rejects.toMatchObject({
    code: "not-found",
    message: "blob unknown: blob unknown to registry",
  });
  await expect((await open(registry, "no/such")).listTags()).rejects.toMatchObject({
    code: "not-found",
    message: "name unknown: repository name not known to registry",
  });
});

both("a registry with users lets in those alone, and says so as Docker does", async () => {
  await using registry = await DockerRegistry.start({ users: { bob: "secret: and more" } });
  const bob = { username: "bob", password: "secret: and more" };
  const { files } = makeLayout("users");
  const digest = await push(await open(registry, "bob/app", bob, "pull,push"), "1", files);
  expect((await pull(await open(registry, "bob/app", bob), "1")).digest).toBe(digest);
  const wrong = await open(registry, "bob/app", { ...bob, password: "wrong" });
  const nobody = await open(registry, "bob/app");
  for (const ask of ["resolve", "getManifest"] as const) {
    await expect(wrong[ask]("1")).rejects.toMatchObject({
      code: "unauthorized",
      message: "unauthorized: authentication required",
    });
    await expect(nobody[ask]("1")).rejects.toMatchObject({
      code: "unauthorized",
      message: `${ask === "resolve" ? "Head" : "Get"} "http://${registry.host}/v2/bob/app/manifests/1": no basic auth credentials`,
    });
  }
  const address = { serveraddress: registry.host };
  expect(await checkAuth(config, { ...bob, ...address })).toEqual({ Status: "Login Succeeded", IdentityToken: "" });
  await expect(checkAuth(config, { username: "bob", password: "wrong", ...address })).rejects.toMatchObject({
    code: "unauthorized",
    message: `login attempt to http://${registry.host}/v2/ failed with status: 401 Unauthorized`,
  });
});

testIf(hasDockerRegistry && hasOpenssl, "needs docker-registry and openssl")(
  "TLS: the authority in the registry's directory is trusted, another one is refused by name",
  async () => {
    const right = makeCertificates(directory, "right");
    const wrong = makeCertificates(directory, "wrong");
    await using registry = await DockerRegistry.start({ tls: right });
    const hostPath = join(directory, "certs.d", registry.host);
    mkdirSync(hostPath, { recursive: true });
    copyFileSync(wrong.caPath, join(hostPath, "ca.crt"));
    await expect((await open(registry, "a")).getManifest("1")).rejects.toMatchObject({
      failure: "certificate",
      message: `Get "https://${registry.host}/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
    });
    copyFileSync(right.caPath, join(hostPath, "ca.crt"));
    const { files } = makeLayout("tls");
    const digest = await push(await open(registry, "a", undefined, "pull,push"), "1", files);
    expect((await pull(await open(registry, "a"), "1")).digest).toBe(digest);
    // Without an authority of its own a registry on loopback is not verified, as with dockerd.
    rmSync(hostPath, { recursive: true });
    expect((await pull(await open(registry, "a"), "1")).digest).toBe(digest);
  },
);
