/** Pulls that go wrong: what is said, what is left, and what the next pull makes of it. */

import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { ImageStore, pullImage, RegistryClient } from "../../src/image/mod.ts";
import { parseReference } from "../../src/spec/image-reference.ts";
import { parseDigest } from "../../src/spec/oci-image.ts";
import { ApiServer } from "../support/api-server.ts";
import { until } from "../support/eventually.ts";
import { FakeRegistry } from "../support/fake-registry.ts";
import { failureOf, makeTempDir } from "../support/image-store.ts";
import { rawTar } from "../support/image-tar.ts";
import { isAlive, rooted } from "../support/stage.ts";

const MB = 1024 * 1024;
const STALL_AT = 3 * MB;
const config = { certificatesPath: "/nonexistent" };
/** One that does not compress, so that its blob has a size to speak of. */
const large = rawTar({ name: "large", content: randomBytes(8 * MB) });
const small = rawTar({ name: "small", content: "small" });

let temp: string;
let storePath: string;
let store: ImageStore;
let registry: FakeRegistry;

beforeEach(async () => {
  temp = makeTempDir();
  storePath = join(temp, "store");
  store = await ImageStore.open(storePath);
  registry = await FakeRegistry.start();
});

afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  rmSync(temp, { recursive: true, force: true });
});

/** `phases` gets what the layers do, as it happens. */
async function pull(name: string, signal?: AbortSignal, into = store, phases: string[] = []): Promise<string[]> {
  const reference = parseReference(`${registry.host}/${name}`);
  const client = await RegistryClient.open(config, reference, { signal });
  await pullImage(into, reference, {
    client,
    ...(signal && { signal }),
    onEvent: (event) => {
      if (event.kind === "layer" && event.phase !== "Downloading") phases.push(`${event.digest} ${event.phase}`);
    },
  });
  return phases;
}

const partials = (path = storePath) => readdirSync(join(path, "ingest")).filter((name) => name.endsWith(".partial"));
const partialBytes = (digest: string) =>
  statSync(join(storePath, "ingest", `${digest.replace(":", "-")}.partial`), { throwIfNoEntry: false })?.size ?? 0;
/** Directories of layers; one is always there, of images without any. */
const layerCount = () => readdirSync(join(storePath, "l")).length - 1;
const gets = (digest: string) =>
  registry.requests.filter(({ method, path }) => method === "GET" && path.endsWith(`/blobs/${digest}`));
const childrenOf = (pid: number) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);

/** An image whose large layer stops in the middle, once. */
function stalling(): string {
  const { layerDigests } = registry.addImage("app", "1", { layers: [small, large] });
  registry.inject({ path: new RegExp(layerDigests[1]!), times: 1, fault: { kind: "stall", at: STALL_AT } });
  return layerDigests[1]!;
}

rooted("a pull that is cancelled ends its workers, and the next one fetches only what is missing", async () => {
  const digest = stalling();
  const aborter = new AbortController();
  const seen: string[] = [];
  const pulling = failureOfAny(pull("app:1", aborter.signal, store, seen));
  await until(() => partialBytes(digest) === STALL_AT, "the download stalls");
  await until(() => seen.some((phase) => phase.endsWith("Pull complete")), "the small layer is there");
  aborter.abort(new Error("enough"));
  expect((await pulling).message).toBe("enough");
  expect([store.list(), store.damaged]).toEqual([[], []]);
  expect(partials()).toEqual([`${digest.replace(":", "-")}.partial`]);
  expect(layerCount()).toBe(1); // the small one, which was whole
  const before = registry.sentBytes;
  const phases = await pull("app:1");
  const [first, again] = gets(digest);
  expect(first!.headers.get("range")).toBeUndefined();
  expect(again!.headers.get("range")).toBe(`bytes=${STALL_AT}-`);
  expect(registry.sentBytes - before).toBeLessThan(large.length - STALL_AT + 10_000);
  expect(phases.filter((phase) => phase.endsWith("Already exists"))).toHaveLength(1);
  expect(partials()).toEqual([]);
  expect(readdirSync(join(storePath, "ingest"))).toEqual([]);
  const [top] = store.layersOf(`${registry.host}/app:1`).lowerDirs;
  expect(readFileSync(join(top!, "large")).equals(large.subarray(512, 512 + 8 * MB))).toBe(true);
});

async function failureOfAny(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error("it succeeded");
}

rooted("a worker that is killed fails the pull and names the layer; the next pull goes on", async () => {
  const digest = stalling();
  const before = new Set(childrenOf(process.pid));
  const pulling = failureOf(() => pull("app:1"));
  await until(() => partialBytes(digest) === STALL_AT, "the download stalls");
  for (const pid of childrenOf(process.pid)) if (!before.has(pid)) process.kill(pid, "SIGKILL");
  expect(await pulling).toMatchObject({ code: "internal", message: expect.stringContaining("worker was killed") });
  await until(() => childrenOf(process.pid).every((pid) => before.has(pid)), "the workers are gone");
  await pull("app:1");
  expect(gets(digest).at(-1)!.headers.get("range")).toBe(`bytes=${STALL_AT}-`);
});

rooted(
  "two pulls at once fetch a layer that they share once; a failure is both's, and a cancel only one's",
  async () => {
    const digest = stalling();
    const other = registry.addImage("other", "1", { layers: [small, large], config: { Cmd: ["/other"] } });
    expect(other.layerDigests[1]).toBe(digest);
    const aborter = new AbortController();
    const cancelled = failureOfAny(pull("app:1", aborter.signal));
    await until(() => partialBytes(digest) === STALL_AT, "the download stalls");
    const seen: string[] = [];
    const pulling = pull("other:1", undefined, store, seen);
    await until(() => seen.includes(`${digest} Pulling fs layer`), "the other waits for it, too");
    aborter.abort(new Error("enough"));
    await cancelled;
    expect(gets(digest)).toHaveLength(1);
    registry.dropConnections();
    await pulling;
    expect(gets(digest).map(({ headers }) => headers.get("range"))).toEqual([undefined, `bytes=${STALL_AT}-`]);
    expect(store.list()).toHaveLength(1);
    expect(store.diskUsage().unusedLayersBytes).toBe(0);
  },
);

rooted("a blob that is tampered with, cut short or no layer is refused by name, and leaves nothing", async () => {
  const tampered = registry.addImage("tampered", "1", { layers: [large], gzip: true }).layerDigests[0]!;
  registry.inject({ path: new RegExp(tampered), fault: { kind: "corrupt", at: 5 * MB } });
  expect(await failureOf(() => pull("tampered:1"))).toMatchObject({
    code: "invalid",
    message: expect.stringContaining(
      `filesystem layer verification failed for digest ${tampered}: its digest is sha256:`,
    ),
  });
  const short = registry.addImage("short", "1", { layers: [rawTar({ name: "a", content: randomBytes(MB) })] });
  const [shortDigest] = short.layerDigests;
  registry.blobs.set(shortDigest!, (registry.blobs.get(shortDigest!) as Buffer).subarray(0, MB / 2));
  expect(await failureOf(() => pull("short:1"))).toMatchObject({
    code: "invalid",
    message: expect.stringContaining(shortDigest!),
  });
  registry.addImage("garbage", "1", { layers: [Buffer.alloc(5000, "garbage")] });
  expect(await failureOf(() => pull("garbage:1"))).toMatchObject({
    code: "invalid",
    message: expect.stringContaining("tar archive: header checksum"),
  });
  expect([store.list(), readdirSync(join(storePath, "ingest")), layerCount()]).toEqual([[], [], 0]);
  expect(readdirSync(join(storePath, "blobs/sha256"))).toEqual([]);
});

rooted("a partial file whose bytes are wrong is fetched again from its start", async () => {
  const { layerDigests } = registry.addImage("app", "1", { layers: [large] });
  const [digest] = layerDigests;
  writeFileSync(join(storePath, "ingest", `${digest!.replace(":", "-")}.partial`), randomBytes(MB));
  await pull("app:1");
  expect(gets(digest!).at(-1)!.headers.get("range")).toBeUndefined();
  expect(store.list()).toHaveLength(1);
});

rooted("a disk that fills up is ENOSPC, and leaves the image out and the next pull a chance", async () => {
  registry.addImage("app", "1", { layers: [small, large] });
  for (const megabytes of [6, 12]) {
    const path = join(temp, `disk-${megabytes}`);
    mkdirSync(path);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path]);
    try {
      await using full = await ImageStore.open(join(path, "store"));
      const error = await failureOf(() => pull("app:1", undefined, full));
      expect([error.code, error.detail.errno]).toEqual(["kernel", "ENOSPC"]);
      expect(error.message).toMatch(/: write \/\S+: no space left on device$/);
      expect(full.list()).toEqual([]);
      expect(readdirSync(join(path, "store/ingest"))).toEqual(partials(join(path, "store")));
      expect(readdirSync(join(path, "store/l")).length).toBeLessThanOrEqual(2);
      execFileSync("mount", ["-o", "remount,size=40m", path]);
      await pull("app:1", undefined, full);
      expect(full.list()).toHaveLength(1);
    } finally {
      execFileSync("umount", [path]);
    }
  }
});

const moduleUrl = (path: string) => JSON.stringify(join(import.meta.dirname, "../../src", path));

/** A process that pulls, and dies at its N-th write point. */
function pullInProcess(name: string, env: Record<string, string>) {
  const script = join(temp, "pull.ts");
  writeFileSync(
    script,
    `import { ImageStore, pullImage, RegistryClient } from ${moduleUrl("image/mod.ts")};
import { parseReference } from ${moduleUrl("spec/image-reference.ts")};
const reference = parseReference(${JSON.stringify(`${registry.host}/${name}`)});
const store = await ImageStore.open(${JSON.stringify(storePath)});
const client = await RegistryClient.open(${JSON.stringify(config)}, reference);
await pullImage(store, reference, { client, onEvent: () => {} });
await store[Symbol.asyncDispose]();
process.exit(0);`,
  );
  const preload = join(import.meta.dirname, "../support/crash-at.ts");
  return spawn(process.execPath, ["--preload", preload, script], {
    stdio: ["ignore", "inherit", "pipe"],
    env: { ...process.env, ...env },
  });
}

rooted(
  "kill -9 in the middle of a download takes the workers along, and the next process goes on from there",
  async () => {
    const digest = stalling();
    await store[Symbol.asyncDispose]();
    const child = pullInProcess("app:1", {});
    await until(() => partialBytes(digest) === STALL_AT, "the download stalls");
    const workers = childrenOf(child.pid!);
    expect(workers.length).toBeGreaterThan(0);
    child.kill("SIGKILL");
    await once(child, "exit");
    store = await ImageStore.open(storePath);
    for (const pid of workers) expect(isAlive(pid)).toBe(false);
    expect(partialBytes(digest)).toBe(STALL_AT);
    await pull("app:1");
    expect(gets(digest).at(-1)!.headers.get("range")).toBe(`bytes=${STALL_AT}-`);
  },
);

rooted(
  "kill -9 at every write point of a pull leaves all of the image or nothing, and the next pull completes it",
  async () => {
    registry.addImage("app", "1", { layers: [small, rawTar({ name: "d/implied", content: "x" })], gzip: true });
    let point = 1;
    for (let isOver = false; !isOver; point++) {
      await store[Symbol.asyncDispose]();
      rmSync(storePath, { recursive: true });
      const child = pullInProcess("app:1", { LIGHTER_TEST_CRASH_AT: `${point}` });
      await once(child, "close");
      isOver = child.exitCode === 0;
      if (!isOver) expect(child.signalCode).toBe("SIGKILL");
      store = await ImageStore.open(storePath);
      expect(store.damaged).toEqual([]);
      const names = store.list().flatMap(({ repoTags }) => repoTags);
      if (isOver) expect(names).toEqual([`${registry.host}/app:1`]);
      expect([0, 2]).toContain(layerCount());
      expect(layerCount()).toBe(names.length * 2);
      await pull("app:1");
      expect(store.list()).toMatchObject([{ repoTags: [`${registry.host}/app:1`] }]);
      expect(readdirSync(join(storePath, "ingest"))).toEqual([]);
      expect(readdirSync(join(storePath, "blobs/sha256"))).toHaveLength(4);
    }
    expect(point).toBeGreaterThan(8);
  },
);

rooted("a pull that begins while another of the same layer is being given up waits for its end", async () => {
  const digest = stalling();
  const aborter = new AbortController();
  const cancelled = failureOfAny(pull("app:1", aborter.signal));
  await until(() => partialBytes(digest) === STALL_AT, "the download stalls");
  const pulling = pull("app:1");
  aborter.abort(new Error("enough"));
  await Promise.all([cancelled, pulling]);
  expect(store.list()).toHaveLength(1);
});

rooted("a layer that a pull takes up stays when its only image is removed meanwhile", async () => {
  const first = registry.addImage("first", "1", { layers: [small] });
  await pull("first:1");
  const digest = stalling();
  const pulling = pull("app:1");
  await until(() => partialBytes(digest) === STALL_AT, "the download stalls");
  const removed = await store.remove(`${registry.host}/first:1`, { force: false, users: [] });
  expect(removed.filter((record) => "Deleted" in record)).toEqual([{ Deleted: first.configDigest }]);
  registry.dropConnections();
  await pulling;
  expect(gets(first.layerDigests[0]!)).toHaveLength(1);
  const [, bottom] = store.layersOf(`${registry.host}/app:1`).lowerDirs;
  expect(readFileSync(join(bottom!, "small"), "utf8")).toBe("small");
  await store.remove(`${registry.host}/app:1`, { force: false, users: [] });
  expect([layerCount(), readdirSync(join(storePath, "blobs/sha256"))]).toEqual([0, []]);
});

rooted("what a failed pull has left goes by prune, or at an open a week later", async () => {
  const leaveSome = async (): Promise<string> => {
    const digest = stalling();
    const aborter = new AbortController();
    const seen: string[] = [];
    const pulling = failureOfAny(pull("app:1", aborter.signal, store, seen));
    await until(() => partialBytes(digest) === STALL_AT, "the download stalls");
    await until(() => seen.some((phase) => /Pull complete|Already exists/.test(phase)), "the small layer is there");
    aborter.abort(new Error("enough"));
    await pulling;
    expect([layerCount(), partials().length]).toEqual([1, 1]);
    expect(store.diskUsage()).toMatchObject({ images: [], unusedLayersBytes: 5, layersBytes: 5 });
    return digest;
  };
  const reopen = async (): Promise<void> => {
    await store[Symbol.asyncDispose]();
    store = await ImageStore.open(storePath);
  };
  await leaveSome();
  await reopen();
  expect([layerCount(), partials().length]).toEqual([1, 1]);
  await store.prune([]);
  expect([layerCount(), partials(), readdirSync(join(storePath, "blobs/sha256"))]).toEqual([0, [], []]);
  const digest = await leaveSome();
  const long = Date.now() / 1000 - 8 * 24 * 3600;
  utimesSync(join(storePath, "ingest", `${digest.replace(":", "-")}.partial`), long, long);
  await store[Symbol.asyncDispose]();
  const database = new Database(join(storePath, "images.db"));
  database.run("UPDATE layer SET added_at_ms = ?", [long * 1000]);
  database.close();
  store = await ImageStore.open(storePath);
  expect([layerCount(), partials(), readdirSync(join(storePath, "blobs/sha256"))]).toEqual([0, [], []]);
});

rooted(
  "index.json is an OCI layout's for other tools, and is made again if it is not what the database says",
  async () => {
    registry.addImage("app", "1", { layers: [small] });
    await pull("app:1");
    const indexPath = join(storePath, "index.json");
    const text = readFileSync(indexPath, "utf8");
    const { manifests } = JSON.parse(text);
    expect(manifests.map(({ annotations }: never) => annotations)).toEqual([
      { "org.opencontainers.image.ref.name": `${registry.host}/app:1` },
    ]);
    await store[Symbol.asyncDispose]();
    writeFileSync(indexPath, "{}");
    store = await ImageStore.open(storePath);
    expect(readFileSync(indexPath, "utf8")).toBe(text);
  },
);

rooted("a client of the API that goes away cancels its pull", async () => {
  const digest = stalling();
  await using api = await ApiServer.start();
  const partialPath = join(api.directory, "data/image/ingest", `${digest.replace(":", "-")}.partial`);
  const before = new Set(childrenOf(process.pid));
  const request = httpRequest({
    socketPath: api.socketPath,
    method: "POST",
    path: `/images/create?fromImage=${registry.host}/app&tag=1`,
  });
  request.on("error", () => {}); // destroyed below
  request.end();
  const isStalled = (): boolean => statSync(partialPath, { throwIfNoEntry: false })?.size === STALL_AT;
  await until(isStalled, "the download stalls");
  request.destroy();
  await until(() => childrenOf(process.pid).every((pid) => before.has(pid)), "the workers are gone");
  expect(isStalled()).toBe(true);
  expect((await api.request("GET", `/images/${registry.host}/app:1/json`)).status).toBe(404);
});

rooted("prune takes nothing away from a pull that is under way", async () => {
  const digest = stalling();
  const pulling = pull("app:1");
  await until(() => partialBytes(digest) === STALL_AT, "the download stalls");
  await store.prune([]);
  expect(partialBytes(digest)).toBe(STALL_AT);
  registry.dropConnections();
  await pulling;
  expect(gets(digest).at(-1)!.headers.get("range")).toBe(`bytes=${STALL_AT}-`);
});

rooted("an image that is removed as soon as it is seen has been pulled all the same, and leaves nothing", async () => {
  const [digest] = registry.addImage("app", "1", { layers: [small] }).layerDigests;
  const pulling = pull("app:1");
  // Seen when it is in memory: its commit is still under way, and the removal follows it before the pull goes on.
  while (store.list().length === 0) await new Promise((resolve) => setImmediate(resolve));
  await store.remove(`${registry.host}/app:1`, { force: true, users: [] });
  await pulling;
  expect(store.list()).toEqual([]);
  expect(partials()).toEqual([]);
  expect(store.placesOf(parseDigest(digest, "digest"))).toEqual([]);
});
