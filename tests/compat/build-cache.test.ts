/** Caches of builds that are kept elsewhere, by the stock `docker buildx` and by `lighter build`, between two daemons. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BuildkitClient } from "../support/buildkit-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { DockerRegistry, hasDockerRegistry } from "../support/docker-registry.ts";
import { until } from "../support/eventually.ts";
import { rawTar } from "../support/image-tar.ts";
import { Graph } from "../support/llb-graph.ts";
import { missing } from "../support/missing.ts";
import { readTar } from "../support/read-tar.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";
import { canBuild, loadTools } from "../support/tools-image.ts";
import { lighterCommand, type Outcome, runProgram } from "./cli-support.ts";

const succeeds = (...words: string[]) => spawnSync("docker", words).status === 0;
const whyNot = !isRoot
  ? "needs root"
  : (missing("docker") ??
    (succeeds("buildx", "version") ? undefined : "needs docker-buildx") ??
    (hasDockerRegistry ? undefined : "needs docker-registry") ??
    (canBuild ? undefined : "no static busybox here"));
const stock = testIf(whyNot === undefined, whyNot ?? "");

const directory = mkdtempSync(join(tmpdir(), "lighter-build-cache-"));
let first: TestDaemon;
let second: TestDaemon;
let registry: DockerRegistry;
const cleanUp = new AsyncDisposableStack();

beforeAll(async () => {
  if (whyNot !== undefined) return;
  first = cleanUp.use(await TestDaemon.start());
  const inside = (...argv: string[]) => first.network.inside(...argv);
  registry = cleanUp.use(await DockerRegistry.start({ inside }));
  // It has the registry's network, and so must not run steps: those that it is asked for come from caches.
  second = cleanUp.use(await TestDaemon.start({ hostNetwork: true, wrapper: inside() }));
  for (const daemon of [first, second]) await loadTools(daemon);
});

afterAll(async () => {
  await cleanUp[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const environmentOf = (daemon: TestDaemon) => ({
  ...process.env,
  DOCKER_HOST: `unix://${daemon.socketPath}`,
  DOCKER_CONFIG: join(directory, "config"),
});

function docker(daemon: TestDaemon, argv: readonly string[], cwd = directory): Promise<Outcome> {
  return runProgram(["docker", ...argv], { env: environmentOf(daemon), cwd });
}

type Build = (daemon: TestDaemon, context: string, ...args: string[]) => Promise<Outcome>;
const buildx: Build = (daemon, context, ...args) =>
  docker(daemon, ["buildx", "build", "--progress=plain", ...args, context]);
const lighter: Build = (daemon, context, ...args) =>
  runProgram([...lighterCommand, "-H", `unix://${daemon.socketPath}`, "build", "--progress=plain", ...args, context]);

/** A context whose steps never come out twice in the same way. */
function contextOf(name: string, end = ""): string {
  const context = mkdtempSync(join(directory, "context-"));
  const random = `RUN cat /proc/sys/kernel/random/uuid > /${name}`;
  const dockerfile = `FROM tools:1 AS other\nRUN echo ${name}\n${random}\nFROM tools:1\nENV A=${name}\nCOPY file /\nCOPY --from=other /${name} /\n${random}2\n${end}`;
  writeFileSync(join(context, "Dockerfile"), dockerfile);
  writeFileSync(join(context, "file"), "content\n");
  return context;
}

/** Forgets what a daemon has built. */
async function forget(daemon: TestDaemon, ...images: string[]): Promise<void> {
  for (const image of images) await daemon.request("DELETE", `/images/${image}`);
  await daemon.request("POST", "/images/prune");
  // What a build has just used is held until its last measurement has ended.
  await until(async () => {
    await daemon.request("POST", "/build/prune?all=1");
    return (await daemon.request("GET", "/lighter/builds/cache")).json.length === 0;
  }, "the cache is empty");
}

/** The digests of the layers above the base image's. */
async function layersOf(daemon: TestDaemon, image: string): Promise<string[]> {
  const { json } = await daemon.request("GET", `/images/${image}/json`);
  return json.RootFS.Layers.slice(1);
}

const CACHED = /^#\d+ CACHED$/gm;
const cachedCount = ({ stderr }: Outcome) => stderr.match(CACHED)?.length ?? 0;

stock(
  "what one daemon has built another one takes from a registry, with the stages that are only copied from",
  async () => {
    for (const [exporting, importing, name] of [
      [buildx, lighter, "reg1"],
      [lighter, buildx, "reg2"],
    ] as const) {
      const context = contextOf(name);
      const ref = `${registry.host}/caches/${name}:latest`;
      const built = await exporting(first, context, "-t", "x:1", "--cache-to", `type=registry,ref=${ref},mode=max`);
      expect(built.code, built.stderr).toBe(0);
      expect(built.stderr).toContain("exporting cache to registry");
      expect(built.stderr).toMatch(/writing cache manifest sha256:\w{64} done/);
      const taken = await importing(second, context, "-t", "x:1", "--cache-from", `type=registry,ref=${ref}`);
      expect(taken.code, taken.stderr).toBe(0);
      expect(taken.stderr).toContain(`importing cache manifest from ${ref}`);
      expect(cachedCount(taken), taken.stderr).toBe(5);
      expect(await layersOf(second, "x:1")).toEqual(await layersOf(first, "x:1"));
      await forget(second, "x:1");
    }
  },
);

stock("a cache is kept in a directory of the client, as an OCI layout that is added to", async () => {
  for (const [exporting, importing, name] of [
    [buildx, lighter, "dir1"],
    [lighter, buildx, "dir2"],
  ] as const) {
    const context = contextOf(name);
    const dest = join(directory, name);
    const to = `type=local,dest=${dest},mode=max,compression=zstd`;
    const built = await exporting(first, context, "-t", "y:1", "--cache-to", to);
    expect(built.code, built.stderr).toBe(0);
    expect(built.stderr).toContain("exporting cache to client directory");
    const index = JSON.parse(readFileSync(join(dest, "index.json"), "utf8"));
    expect(index.manifests).toHaveLength(1);
    const blob = (digest: string) => JSON.parse(readFileSync(join(dest, "blobs/sha256", digest.slice(7)), "utf8"));
    const { manifests } = blob(index.manifests[0].digest);
    const config = blob(manifests.at(-1).digest);
    expect(manifests.at(-1).mediaType).toBe("application/vnd.buildkit.cacheconfig.v0");
    expect(manifests[0].mediaType).toBe("application/vnd.oci.image.layer.v1.tar+zstd");
    expect(manifests[0].annotations["containerd.io/uncompressed"]).toMatch(/^sha256:\w{64}$/);
    expect(config.records.length).toBe(6);
    expect(config.layers).toHaveLength(manifests.length); // the base layer, and one for each of five steps that has files

    const taken = await importing(second, context, "-t", "y:1", "--cache-from", `type=local,src=${dest}`);
    expect(cachedCount(taken), taken.stderr).toBe(5);
    expect(await layersOf(second, "y:1")).toEqual(await layersOf(first, "y:1"));
    const before = readdirSync(join(dest, "blobs/sha256")).length;
    const repeated = await exporting(second, context, "-t", "y:1", "--cache-to", to);
    expect(repeated.code, repeated.stderr).toBe(0);
    expect(readdirSync(join(dest, "blobs/sha256")).length).toBeLessThanOrEqual(before + 2);
    await forget(second, "y:1");
  }
});

stock("without the stages that are only copied from, they are built anew, and what is copied is found", async () => {
  const context = mkdtempSync(join(directory, "context-"));
  const uuid = "cat /proc/sys/kernel/random/uuid";
  writeFileSync(
    join(context, "Dockerfile"),
    `FROM tools:1 AS tool\nRUN echo of-min > /made\nFROM tools:1\nRUN ${uuid} > /min\nCOPY --from=tool /made /\nRUN ${uuid} > /after\n`,
  );
  const dest = join(directory, "min");
  const built = await lighter(first, context, "--network=none", "-t", "z:1", "--cache-to", `type=local,dest=${dest}`);
  expect(built.code, built.stderr).toBe(0);
  const taken = await lighter(second, context, "--network=none", "-t", "z:1", "--cache-from", `type=local,src=${dest}`);
  expect(cachedCount(taken), taken.stderr).toBe(3);
  expect(taken.stderr).toMatch(/^(#\d+) \[tool 2\/2\] RUN echo of-min > \/made\n\1 DONE/m);
  expect(await layersOf(second, "z:1")).toEqual(await layersOf(first, "z:1"));
  await forget(second, "z:1");
});

stock("an image has the cache of its own steps with it, and is one here or in a registry", async () => {
  for (const [exporting, importing, name, ...inline] of [
    [buildx, lighter, "in1", "--cache-to", "type=inline"],
    [lighter, buildx, "in2", "--build-arg", "BUILDKIT_INLINE_CACHE=1"],
  ] as const) {
    const context = mkdtempSync(join(directory, "context-"));
    writeFileSync(
      join(context, "Dockerfile"),
      `FROM tools:1\nRUN cat /proc/sys/kernel/random/uuid > /${name}\nRUN echo ${name}\n`,
    );
    const image = `${registry.host}/images/${name}:1`;
    const built = await exporting(first, context, "-t", image, "--push", ...inline);
    expect(built.code, built.stderr).toBe(0);
    expect(built.stderr).toContain("preparing layers for inline cache");
    const taken = await importing(second, context, "-t", "z:1", "--cache-from", image);
    expect(cachedCount(taken), taken.stderr).toBe(2);
    expect(await layersOf(second, "z:1")).toEqual(await layersOf(first, image));
    await forget(second, "z:1");
    const layers = await layersOf(first, image);
    await forget(first);
    const here = await importing(first, context, "-t", "z:1", "--cache-from", image);
    expect(cachedCount(here), here.stderr).toBe(2);
    await forget(second);
    const context2 = rawTar({ name: "Dockerfile", content: readFileSync(join(context, "Dockerfile")) });
    const query = `version=2&t=z:2&cachefrom=${encodeURIComponent(JSON.stringify([image]))}`;
    const { text } = await second.request("POST", `/build?${query}`, context2, { "Content-Type": "application/x-tar" });
    expect(text).toContain("moby.image.id");
    expect(await layersOf(second, "z:2")).toEqual(layers);
    await forget(second, "z:2");
    expect(await layersOf(first, "z:1")).toEqual(layers);
  }
});

stock("a cache that is missing or broken is told of, and the build goes on without it", async () => {
  const context = contextOf("broken");
  const dest = join(directory, "broken");
  const built = await buildx(first, context, "--cache-to", `type=local,dest=${dest},mode=max`);
  expect(built.code, built.stderr).toBe(0);
  const index = JSON.parse(readFileSync(join(dest, "index.json"), "utf8"));
  const digest: string = index.manifests[0].digest;
  const blobPath = (of: string) => join(dest, "blobs/sha256", of.slice(7));
  const manifest = JSON.parse(readFileSync(blobPath(digest), "utf8"));
  // Layers that are not what they should be are found out when they are needed.
  for (const { digest: layer, mediaType } of manifest.manifests)
    if (mediaType.includes("layer")) writeFileSync(blobPath(layer), "no layer");
  for (const build of [buildx, lighter]) {
    await forget(first);
    const damaged = await build(first, context, "--cache-from", `type=local,src=${dest}`);
    expect(damaged.code, damaged.stderr).toBe(0);
    expect(cachedCount(damaged), damaged.stderr).toBe(1); // that which has no layer
    expect(damaged.stderr.match(/ERROR: [^\n]*is damaged/g), damaged.stderr).toHaveLength(1);
    await forget(first);
    const absent = await build(first, context, "--cache-from", `${registry.host}/no/such:cache`);
    expect(absent.code, absent.stderr).toBe(0);
    expect(absent.stderr).toContain(`importing cache manifest from ${registry.host}/no/such:cache`);
    expect(absent.stderr).toMatch(/ERROR: .*not found/);
  }
  writeFileSync(blobPath(digest), "{}");
  const forged = await lighter(first, context, "--no-cache", "--cache-from", `type=local,src=${dest}`);
  expect(forged.code, forged.stderr).toBe(0);
  expect(forged.stderr).toContain(`blob ${digest} is damaged`);
  const nowhere = await lighter(first, context, "--cache-from", `type=local,src=${dest}/none`);
  expect(nowhere.stderr).toContain(`WARNING: local cache import at ${dest}/none not found\n`);
  expect(nowhere.code).toBe(0);
});

stock(
  "a cache that cannot be left fails the build, unless that is to be ignored; other kinds are refused by name",
  async () => {
    const context = contextOf("refused");
    const to = "type=registry,ref=127.0.0.1:1/x:1";
    for (const build of [buildx, lighter]) {
      const failed = await build(first, context, "--cache-to", to);
      expect(failed.code, failed.stderr).toBe(1);
      expect(failed.stderr).toContain("127.0.0.1:1");
      const ignored = await build(first, context, "--cache-to", `${to},ignore-error=true`);
      expect(ignored.code, ignored.stderr).toBe(0);
      // buildx asks the cloud for credentials for the others, or leaves them out.
      const types = ["azblob,name=x,account_url=y", ...(build === lighter ? ["s3,region=x,bucket=y", "gha"] : [])];
      for (const type of types) {
        const refused = await build(first, context, "--cache-to", `type=${type}`);
        expect(refused.code).toBe(1);
        expect(refused.stderr).toContain(`unknown cache exporter: "${type.split(",")[0]}"`);
      }
      const odd = await build(
        first,
        context,
        "--cache-to",
        `type=local,dest=${join(directory, "odd")},compression=lzma`,
      );
      expect(odd.stderr).toContain("unsupported compression type lzma");
    }
  },
);

/** What the registry has under the name. */
async function registered(name: string) {
  const [program = "", ...args] = first.network.inside("docker", "buildx", "imagetools", "inspect", "--raw", name);
  const { code, stdout, stderr } = await runProgram([program, ...args], { env: environmentOf(first) });
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

stock("a client's own graph (LLB) leaves its cache, and finds it at another daemon", async () => {
  const graph = new Graph();
  const base = graph.source("docker-image://docker.io/library/tools:1");
  const script = "cat /proc/sys/kernel/random/uuid > /u; echo of a graph";
  const meta = { args: ["/bin/sh", "-c", script], cwd: "/", env: ["PATH=/bin"] };
  const run = graph.add({ exec: { meta, mounts: [{ target: "/" }] } }, base);
  const attributes = new Map([["ref", `${registry.host}/caches/graph:1`]]);
  const use = async (daemon: TestDaemon, cache: object) => {
    await using client = await BuildkitClient.connect(daemon.socketPath);
    let content = "";
    const answer = await client.build({ cache }, async (build) => {
      const id = await build.ref(graph.of(run));
      content = await build.read(id, "/u");
      return { ref: { id } };
    });
    return { content, answer };
  };
  const { content, answer } = await use(first, { exports: [{ type: "registry", attributes }] });
  expect(content).toMatch(/^[-0-9a-f]{36}\n$/);
  expect(JSON.parse(answer.get("cache.manifest")!)).toMatchObject({ digest: expect.stringMatching(/^sha256:/) });
  expect(await use(second, { imports: [{ type: "registry", attributes }] })).toMatchObject({ content });
});

stock("an image is pushed in the form that is asked for, by its name or by its digest alone", async () => {
  const context = contextOf("pushed");
  const name = `${registry.host}/forms/x`;
  const push = async (options: string) => {
    const metadata = join(directory, "metadata");
    const output = `type=image,name=${name}:1,push=true,${options}`;
    const built = await lighter(first, context, "-o", output, "--metadata-file", metadata);
    expect(built.code, built.stderr).toBe(0);
    return JSON.parse(readFileSync(metadata, "utf8"));
  };
  const zstd = await push("compression=zstd,force-compression=true,annotation.a=b");
  const manifest = await registered(`${name}:1`);
  expect(manifest.annotations).toEqual({ a: "b" });
  for (const { mediaType } of manifest.layers) expect(mediaType).toEndWith("tar+zstd");
  expect(zstd["containerimage.descriptor"].digest).toBe(zstd["containerimage.digest"]);
  const alone = await push("push-by-digest=true,oci-mediatypes=false");
  expect(alone["containerimage.digest"]).not.toBe(zstd["containerimage.digest"]);
  expect((await registered(`${name}:1`)).annotations).toEqual({ a: "b" });
  const byDigest = await registered(`${name}@${alone["containerimage.digest"]}`);
  expect(byDigest.mediaType).toBe("application/vnd.docker.distribution.manifest.v2+json");
});

stock("archives of buildx have the options, too; those that nobody knows are left out", async () => {
  const context = contextOf("archive");
  const file = join(directory, "archive.tar");
  const output = `type=oci,dest=${file},compression=zstd,force-compression=true,unpack=true,buildinfo=true,nonsense=1`;
  const built = await buildx(first, context, "-o", output, "--annotation", "a=b", "--provenance=false");
  expect(built.code, built.stderr).toBe(0);
  const files = new Map(readTar(readFileSync(file)).map(({ path, content }) => [String(path), content]));
  const json = (path: string) => JSON.parse(Buffer.from(files.get(path)!).toString());
  const manifest = json(`blobs/${json("index.json").manifests[0].digest.replace(":", "/")}`);
  expect(manifest.annotations).toEqual({ a: "b" });
  for (const { mediaType } of manifest.layers) expect(mediaType).toEndWith("tar+zstd");
});

stock("an OCI layout may be a directory of the client, to which another build adds what is new", async () => {
  for (const build of [buildx, lighter]) {
    const dest = mkdtempSync(join(directory, "layout-"));
    const digestOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
    const seen = new Set<string>();
    for (const name of ["layout1", "layout2"]) {
      const built = await build(first, contextOf(name), "-o", `type=oci,tar=false,dest=${dest}`, "--provenance=false");
      expect(built.code, built.stderr).toBe(0);
      const { manifests } = JSON.parse(readFileSync(join(dest, "index.json"), "utf8"));
      expect(manifests).toHaveLength(1);
      seen.add(manifests[0].digest);
      const names = readdirSync(join(dest, "blobs/sha256"));
      for (const blob of names) expect(digestOf(readFileSync(join(dest, "blobs/sha256", blob)))).toBe(blob);
      expect(names).toContain(manifests[0].digest.slice(7));
    }
    expect(seen.size).toBe(2);
  }
});

stock("buildx has it told how an image was made, where there is room for it", async () => {
  const context = contextOf("told");
  spawnSync("git", ["-C", context, "init", "-q"]);
  const [file, metadata] = [join(directory, "told.tar"), join(directory, "told.json")];
  const args = ["--metadata-file", metadata, "--build-arg", "A=b"];
  const built = await buildx(first, context, "-o", `type=oci,dest=${file},name=told:1`, ...args);
  expect(built.code, built.stderr).toBe(0);
  const told = JSON.parse(readFileSync(metadata, "utf8"));
  expect(told["buildx.build.provenance"].materials[0].uri).toStartWith("pkg:docker/tools@1?platform=");
  const files = new Map(readTar(readFileSync(file)).map(({ path, content }) => [String(path), content]));
  const json = (path: string) => JSON.parse(Buffer.from(files.get(path)!).toString());
  const blob = (digest: string) => json(`blobs/${digest.replace(":", "/")}`);
  const [root] = json("index.json").manifests;
  expect(told["containerimage.descriptor"].digest).toBe(root.digest);
  const [, attestation] = blob(root.digest).manifests;
  expect(blob(blob(attestation.digest).layers[0].digest).predicate).toEqual(told["buildx.build.provenance"]);

  const stored = await buildx(first, context, "-t", "told:1", "--provenance=mode=max", ...args);
  expect(stored.code, stored.stderr).toBe(0);
  const whole = JSON.parse(readFileSync(metadata, "utf8"));
  expect(whole["buildx.build.provenance"].invocation.parameters.args).toEqual({ "build-arg:A": "b" });
  const { json: image } = await first.request("GET", "/images/told:1/json");
  expect(whole["containerimage.digest"]).toBe(image.Id); // the daemon's own store has no room for it
  const scanned = await buildx(first, context, "--sbom=true");
  expect(scanned.code).toBe(1);
  expect(scanned.stderr).toContain("an SBOM needs the image of a scanner, which is not supported");
});

stock("an image is pushed with how it was made, and pulled without", async () => {
  const name = `${registry.host}/told/x:1`;
  const built = await lighter(first, contextOf("pushed-told"), "-t", name, "--push", "--provenance=true");
  expect(built.code, built.stderr).toBe(0);
  const { manifests } = await registered(name);
  expect(manifests.map(({ platform }: { platform: { os: string } }) => platform.os)).toEqual(["linux", "unknown"]);
  const pulled = await docker(second, ["pull", "-q", name]);
  expect(pulled.code, pulled.stderr).toBe(0);
  expect(await layersOf(second, name)).toEqual(await layersOf(first, name));
});

const noCompose = whyNot ?? (succeeds("compose", "version") ? undefined : "needs docker-compose");
testIf(noCompose === undefined, noCompose ?? "")("bake's and Compose's files name caches, too", async () => {
  const context = contextOf("files");
  const dest = join(directory, "baked");
  const target = { context, tags: ["baked:1"], "cache-to": [`type=local,dest=${dest},image-manifest=true`] };
  writeFileSync(join(context, "bake.json"), JSON.stringify({ target: { default: target } }));
  const baked = await docker(first, ["buildx", "bake", "--progress=plain", "-f", "bake.json"], context);
  expect(baked.code, baked.stderr).toBe(0);
  expect(existsSync(join(dest, "index.json"))).toBe(true);
  const build = {
    context,
    cache_from: [`type=local,src=${dest}`],
    cache_to: [`type=local,dest=${join(directory, "composed")}`],
  };
  writeFileSync(join(context, "compose.yaml"), JSON.stringify({ services: { app: { image: "composed:1", build } } }));
  await forget(first, "baked:1");
  const composed = await docker(first, ["compose", "--progress=plain", "build"], context);
  expect(composed.code, composed.stderr).toBe(0);
  expect(`${composed.stdout}${composed.stderr}`).toContain("importing cache manifest from local:");
  expect(existsSync(join(directory, "composed", "index.json"))).toBe(true);
});
