/** Pulls and pushes with the stock docker CLI on our socket, skopeo as the other client, and Debian's docker-registry. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { ApiServer } from "../support/api-server.ts";
import { DockerRegistry, hasDockerRegistry } from "../support/docker-registry.ts";
import { dockerArchive, ociLayout, sha256 } from "../support/image-archive.ts";
import { pieces } from "../support/image-store.ts";
import { rawTar } from "../support/image-tar.ts";
import { testIf } from "../support/test-if.ts";

const isReady =
  process.getuid!() === 0 && hasDockerRegistry && existsSync("/usr/bin/skopeo") && existsSync("/usr/bin/docker");
const test = testIf(isReady, "needs root, docker-registry, skopeo and the docker client");

const directory = mkdtempSync(join(tmpdir(), "lighter-pull-"));
const users = { anna: "secret" };
let api: ApiServer;
let registry: DockerRegistry;
let guarded: DockerRegistry;

const layers = [
  rawTar({ name: "etc/", type: "5" }, { name: "etc/greeting", content: "hello\n" }),
  rawTar({ name: "large", content: Buffer.alloc(3_000_000, "pull ") }),
];
const TAR_TYPE = "application/vnd.oci.image.layer.v1.tar";
const short = (digest: string) => digest.replace("sha256:", "").slice(0, 12);
const stored = layers.map((layer) => gzipSync(layer));
const blobIds = stored.map((blob) => short(sha256(blob)));
const diffIds = layers.map((layer) => short(sha256(layer)));

beforeAll(async () => {
  if (!isReady) return;
  [api, registry, guarded] = await Promise.all([
    ApiServer.start(),
    DockerRegistry.start(),
    DockerRegistry.start({ users }),
  ]);
});

afterAll(async () => {
  for (const it of [api, registry, guarded]) await it?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

/** The program's output and error, by lines; the server is in this process, so it must not block. */
async function run(
  program: string,
  ...args: string[]
): Promise<{ code: number | null; lines: string[]; error: string }> {
  const env = { ...process.env, DOCKER_HOST: `unix://${api.socketPath}`, DOCKER_CONFIG: directory };
  const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
  const [out, error, code] = await Promise.all([
    new Response(child.stdout as never).text(),
    new Response(child.stderr as never).text(),
    new Promise<number | null>((resolve) => child.once("exit", resolve)),
  ]);
  return { code, lines: out.split("\n").filter((line) => line !== ""), error: error.trim() };
}

const docker = (...args: string[]) => run("docker", ...args);

function skopeo(...args: string[]): string {
  const done = spawnSync("skopeo", args, { encoding: "utf8", timeout: 60_000 });
  if (done.status !== 0) throw new Error(`skopeo ${args.join(" ")}: ${done.stderr}`);
  return done.stdout;
}

/** Puts the image there with skopeo, bit for bit; its manifest's digest. */
function publish(host: string, name: string, config: object = {}, credentials: string[] = []): string {
  publishLayout(host, name, { layers: stored, diffs: layers, mediaType: `${TAR_TYPE}+gzip`, config }, credentials);
  return digestIn(host, name, credentials);
}

function publishLayout(
  host: string,
  name: string,
  layout: Parameters<typeof ociLayout>[0],
  credentials: string[] = [],
): void {
  const path = mkdtempSync(join(directory, "layout-"));
  for (const [file, bytes] of ociLayout(layout)) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), bytes);
  }
  const target = `docker://${host}/${name}`;
  skopeo("copy", "-q", "--preserve-digests", "--dest-tls-verify=false", ...credentials, `oci:${path}:latest`, target);
}

/** What the registry has under the name. */
function manifestIn(host: string, name: string): { layers: { mediaType: string; digest: string; size: number }[] } {
  return JSON.parse(skopeo("inspect", "--tls-verify=false", "--raw", `docker://${host}/${name}`));
}

function digestIn(host: string, name: string, credentials: string[] = []): string {
  const creds = credentials.map((option) => option.replace("--dest-creds", "--creds"));
  return skopeo("inspect", "--tls-verify=false", ...creds, "--format={{.Digest}}", `docker://${host}/${name}`).trim();
}

test("docker pull prints what it prints with dockerd, and the image is there under tag and digest", async () => {
  const digest = publish(registry.host, "team/app:1");
  const name = `${registry.host}/team/app:1`;
  const pulled = await docker("pull", name);
  expect(pulled).toMatchObject({ code: 0, error: "" });
  expect(pulled.lines[0]).toBe("1: Pulling from team/app");
  for (const id of blobIds) {
    const ofLayer = pulled.lines.filter((line) => line.startsWith(id)).map((line) => line.slice(id.length + 2));
    expect(ofLayer).toEqual(["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"]);
  }
  expect(pulled.lines.slice(-3)).toEqual([`Digest: ${digest}`, `Status: Downloaded newer image for ${name}`, name]);
  const { json } = await api.request("GET", `/images/${encodeURIComponent(name)}/json`);
  expect(json).toMatchObject({ RepoTags: [name], RepoDigests: [`${registry.host}/team/app@${digest}`] });
  const again = await docker("pull", name);
  expect(again.lines).toEqual([
    "1: Pulling from team/app",
    `Digest: ${digest}`,
    `Status: Image is up to date for ${name}`,
    name,
  ]);
  expect((await docker("pull", "-q", name)).lines).toEqual([name]);
  const byDigest = await docker("pull", `${registry.host}/team/app@${digest}`);
  expect(byDigest.lines[0]).toBe(`${registry.host}/team/app@${digest}: Pulling from team/app`);
});

test("an image that is no index is pulled whatever platform was asked for, and then refused as another's", async () => {
  publish(registry.host, "team/single:1", {});
  const name = `${registry.host}/team/single:1`;
  const pulled = await docker("pull", "--platform=linux/s390x", name);
  expect(pulled.code).toBe(1);
  expect(pulled.lines.at(-1)).toBe(`Status: Downloaded newer image for ${name}`);
  expect(pulled.error).toStartWith(
    `image with reference ${name} was found but does not match the specified platform: wanted linux/s390x, actual: linux/`,
  );
  expect((await docker("images", "-q", name)).lines).toHaveLength(1);
});

test("a layer that another image has is not fetched again, and -a pulls every tag", async () => {
  publish(registry.host, "team/many:a", { Labels: { tag: "a" } });
  publish(registry.host, "team/many:b", { Labels: { tag: "b" } });
  await docker("pull", `${registry.host}/team/many:a`);
  const all = await docker("pull", "-a", `${registry.host}/team/many`);
  expect(all.lines.filter((line) => line.endsWith("Pulling from team/many"))).toHaveLength(2);
  expect(all.lines).toContain(`${blobIds[1]}: Already exists`);
  expect(all.lines.at(-2)).toBe(`Status: Downloaded newer image for ${registry.host}/team/many`);
  const { lines } = await docker("images", "--format={{.Tag}}", `${registry.host}/team/many`);
  expect(lines.sort()).toEqual(["a", "b"]);
});

test("a push sends what is missing, mounts what another repository has, and keeps the digest", async () => {
  const digest = publish(registry.host, "origin/app:1", { Labels: { push: "1" } });
  await docker("pull", `${registry.host}/origin/app:1`);
  const name = `${registry.host}/copy/app:2`;
  await api.images.tag(`${registry.host}/origin/app:1`, name);
  const pushed = await docker("push", name);
  expect(pushed).toMatchObject({ code: 0, error: "" });
  expect(pushed.lines[0]).toBe(`The push refers to repository [${registry.host}/copy/app]`);
  for (const id of diffIds) {
    expect(pushed.lines).toContain(`${id}: Preparing`);
    expect(pushed.lines.find((line) => line.startsWith(`${id}: Mounted from `))).toBeDefined();
  }
  expect(pushed.lines.at(-1)).toMatch(new RegExp(`^2: digest: ${digest} size: \\d+$`));
  expect(digestIn(registry.host, "copy/app:2")).toBe(digest);
  const again = await docker("push", name);
  for (const id of diffIds) expect(again.lines).toContain(`${id}: Layer already exists`);
  const { json } = await api.request("GET", `/images/${encodeURIComponent(name)}/json`);
  expect(json.RepoDigests).toContain(`${registry.host}/copy/app@${digest}`);
  const other = `${guarded.host}/new/app:3`;
  await api.images.tag(name, other);
  expect(await docker("push", other)).toMatchObject({ code: 1 });
  writeFileSync(
    join(directory, "config.json"),
    JSON.stringify({ auths: { [guarded.host]: { auth: Buffer.from("anna:secret").toString("base64") } } }),
  );
  const sent = await docker("push", other);
  expect(sent.error).toBe("");
  for (const id of diffIds) expect(sent.lines).toContain(`${id}: Pushed`);
  expect(digestIn(guarded.host, "new/app:3", ["--dest-creds=anna:secret"])).toBe(digest);
});

test("what was loaded as plain tars is pushed compressed, is so from then on, and comes back the same", async () => {
  const extra = rawTar({ name: "extra", content: Buffer.alloc(2_500_000, "push ") });
  const [one, two] = ["push/one:1", "push/two:1"].map((name) => `${registry.host}/${name}`) as [string, string];
  const archive = dockerArchive(
    { layers: [...layers, extra], config: { Labels: { push: "one" } }, tags: [one] },
    { layers: [extra], config: { Labels: { push: "two" } }, tags: [two] },
  );
  const [image] = await api.images.load(pieces(archive));
  const plainBytes = api.images.diskUsage().blobsBytes;
  const pushed = await docker("push", one);
  expect(pushed).toMatchObject({ code: 0, error: "" });
  expect(pushed.lines).toContain(`${short(sha256(extra))}: Pushed`);
  const manifest = manifestIn(registry.host, "push/one:1");
  expect(manifest.layers.map(({ mediaType }) => mediaType)).toEqual(Array(3).fill(`${TAR_TYPE}+gzip`));
  for (const { size } of manifest.layers) expect(size).toBeLessThan(100_000);
  // The other image still names the tar that both had; with its own push that goes, and the compressed one serves.
  expect((await docker("push", two)).code).toBe(0);
  expect(manifestIn(registry.host, "push/two:1").layers[0]).toEqual(manifest.layers[2]!);
  expect(plainBytes - api.images.diskUsage().blobsBytes).toBeGreaterThan(2_400_000); // of `extra`
  const { json } = await api.request("GET", `/images/${encodeURIComponent(one)}/json`);
  expect(json).toMatchObject({ Id: image!.id, RepoTags: [one] });
  for (const name of [one, two]) expect((await docker("rmi", name)).code).toBe(0);
  expect((await docker("pull", "-q", one)).lines).toEqual([one]);
  expect(api.images.get(one).id).toBe(image!.id);
});

test("where the registry has an image of zstd layers under the tag, the one that takes its place has such too", async () => {
  const name = `${registry.host}/push/zstd:1`;
  const zstd = layers.map((layer) => zstdCompressSync(layer));
  publishLayout(registry.host, "push/zstd:1", { layers: zstd, diffs: layers, mediaType: `${TAR_TYPE}+zstd` });
  const layer = rawTar({ name: "other", content: Buffer.alloc(3_000_000, "zstd ") });
  await api.images.load(pieces(dockerArchive({ layers: [layer], tags: [name] })));
  expect((await docker("push", name)).code).toBe(0);
  expect(manifestIn(registry.host, "push/zstd:1").layers).toMatchObject([{ mediaType: `${TAR_TYPE}+zstd` }]);
});

test("failures are told in Docker's words: before the stream begins with a status, in it as its last message", async () => {
  const missing = await api.request("POST", `/images/create?fromImage=${registry.host}/none/at-all&tag=1`);
  expect(missing.status).toBe(404);
  expect(missing.json.message).toContain("manifest for");
  const gone = await docker("pull", `${registry.host}/team/app:none`);
  expect(gone.code).toBe(1);
  expect(gone.error).toContain(`manifest for ${registry.host}/team/app:none not found: manifest unknown`);
  expect((await docker("push", `${registry.host}/not/here`)).error).toBe(
    `An image does not exist locally with the tag: ${registry.host}/not/here`,
  );
  const auth = { "X-Registry-Auth": "%%%" }; // dockerd takes no notice of it either
  const url = `/images/create?fromImage=${registry.host}/team/app&tag=1`;
  expect((await api.request("POST", url, undefined, auth)).status).toBe(200);
  const platform = await api.request("POST", "/images/create?fromImage=x&tag=1&platform=a/b/c/d");
  expect(platform.status).toBe(400);
  expect(platform.json.message).toContain("cannot parse platform specifier");
});
