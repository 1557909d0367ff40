/** A local registry with images that are worth measuring. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import { run } from "./commands.ts";

const START_TIMEOUT_MS = 10_000;

export async function startRegistry(folder: string): Promise<{ host: string; stop(): Promise<void> }> {
  const host = `127.0.0.1:${await freePort()}`;
  const data = join(folder, "registry");
  mkdirSync(data);
  const config = `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${data}}}\nhttp: {addr: "${host}"}\n`;
  writeFileSync(join(folder, "registry.yml"), config);
  const log = openSync(join(folder, "registry.log"), "a");
  const child = spawn("docker-registry", ["serve", join(folder, "registry.yml")], { stdio: ["ignore", log, log] });
  closeSync(log);
  await answering(host);
  const stop = () => {
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    return ended;
  };
  return { host, stop };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

async function answering(host: string): Promise<void> {
  const [hostname, port] = host.split(":");
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const answers = await new Promise<boolean>((resolve) => {
      const socket = createConnection(Number(port), hostname);
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
      socket.once("close", () => resolve(false));
      socket.unref();
    });
    if (answers) return;
    if (performance.now() > deadline) throw new Error(`no registry answers at ${host}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The directories of this host whose files the image gets. */
const SOURCES = ["/usr/share", "/usr/include", "/usr/lib", "/usr/bin"];
const LAYERS = 4;
const LARGEST_FILE_KB = 512;
const PROGRAM = "/bin/busybox";

export interface ArchiveImage {
  /** The image's name in the archives. */
  name: string;
  /**
   * The path of the archive in `docker save`'s form, with uncompressed layers. Beside it: the same in one gzip file, and the
   * image's name in the registry, with gzip layers.
   */
  archive: string;
  gzipArchive: string;
  pulled: string;
  layers: number;
  files: number;
  bytes: number;
}

/**
 * Makes an image of so many bytes of this host's files in four layers, the first with a busybox. Pushes it to the registry, too,
 * if there is one.
 */
export function makeArchiveImage(folder: string, sizeMb: number, registryHost: string | undefined): ArchiveImage {
  const name = "bench/files:1";
  const tars = Array.from({ length: LAYERS }, (_, index) => join(folder, `layer-${index}.tar`));
  const lists = filesOf(sizeMb * 1e6);
  lists[0]!.push(PROGRAM);
  for (const [index, files] of lists.entries()) {
    const listPath = join(folder, "list");
    writeFileSync(listPath, files.join("\0"));
    run([
      "tar",
      "-C",
      "/",
      "--null",
      "-T",
      listPath,
      "--transform=s,^/,,S",
      "-P",
      "--numeric-owner",
      "-cf",
      tars[index]!,
    ]);
    rmSync(listPath);
  }
  const archive = join(folder, "image.tar");
  writeArchive(folder, archive, name, tars);
  const gzipArchive = `${archive}.gz`;
  run(["sh", "-c", 'gzip -n -6 < "$0" > "$1"', archive, gzipArchive]);
  const files = lists.reduce((sum, list) => sum + list.length, 0);
  const pulled = registryHost === undefined ? "" : `${registryHost}/${name}`;
  if (registryHost !== undefined) push(folder, pulled, tars);
  else for (const tar of tars) rmSync(tar);
  return { name, archive, gzipArchive, pulled, layers: LAYERS, files, bytes: statSync(archive).size };
}

/** This host's files in as many lists as there are layers, of about the same size. */
function filesOf(byteCount: number): string[][] {
  const found = run([
    "find",
    ...SOURCES,
    "-xdev",
    "-type",
    "f",
    "-size",
    `-${LARGEST_FILE_KB}k`,
    "-printf",
    "%s %p\\0",
  ]);
  const lists: string[][] = Array.from({ length: LAYERS }, () => []);
  let sum = 0;
  for (const line of found.split("\0").filter(Boolean).sort(byPath)) {
    const layer = Math.floor((sum / byteCount) * LAYERS);
    if (layer >= LAYERS) break;
    lists[layer]!.push(pathIn(line));
    sum += Number.parseInt(line, 10);
  }
  return lists;
}

function pathIn(line: string): string {
  return line.slice(line.indexOf(" ") + 1);
}

function byPath(a: string, b: string): number {
  return pathIn(a) < pathIn(b) ? -1 : 1;
}

function writeArchive(folder: string, archive: string, name: string, tars: readonly string[]): void {
  const layout = join(folder, "archive");
  const blobs = join(layout, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const diffIds = tars.map((tar) => {
    const digest = fileDigest(tar);
    run(["ln", tar, join(blobs, digest)]);
    return digest;
  });
  const config = JSON.stringify(configOf(diffIds));
  const configDigest = createHash("sha256").update(config).digest("hex");
  writeFileSync(join(blobs, configDigest), config);
  const blobName = (digest: string) => `blobs/sha256/${digest}`;
  const manifest = [{ Config: blobName(configDigest), RepoTags: [name], Layers: diffIds.map(blobName) }];
  writeFileSync(join(layout, "manifest.json"), JSON.stringify(manifest));
  run(["tar", "-C", layout, "--sort=name", "--hard-dereference", "-cf", archive, "blobs", "manifest.json"]);
  rmSync(layout, { recursive: true });
}

function configOf(diffIds: readonly string[]): object {
  return {
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    os: "linux",
    config: { Cmd: [PROGRAM, "sleep", "1000000"] },
    rootfs: { type: "layers", diff_ids: diffIds.map((digest) => `sha256:${digest}`) },
  };
}

const BIG_LAYER_MIB = 2048;

/** Makes an image with one layer of 2 GiB that no compression makes smaller. */
export function makeBigImage(folder: string, host: string): string {
  const [file, tar] = [join(folder, "noise"), join(folder, "big.tar")];
  run(["dd", "if=/dev/urandom", `of=${file}`, "bs=1M", `count=${BIG_LAYER_MIB}`, "status=none"]);
  run(["tar", "-C", folder, "-cf", tar, "noise"]);
  rmSync(file);
  push(folder, `${host}/bench/big:1`, [tar]);
  return `${host}/bench/big:1`;
}

/** Compresses the layers, as registries have them, and pushes the image. Removes the tars. */
function push(folder: string, name: string, tars: readonly string[]): void {
  const layout = join(folder, "layout");
  const blobs = join(layout, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const layers = tars.map((tar) => {
    const diffId = fileDigest(tar);
    run(["gzip", "-n", "-6", tar]);
    const digest = fileDigest(`${tar}.gz`);
    run(["mv", `${tar}.gz`, join(blobs, digest)]);
    const size = statSync(join(blobs, digest)).size;
    return {
      diffId,
      descriptor: { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: `sha256:${digest}`, size },
    };
  });
  const blob = (content: object, mediaType: string) => {
    const bytes = JSON.stringify(content);
    const digest = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const config = blob(configOf(layers.map(({ diffId }) => diffId)), "application/vnd.oci.image.config.v1+json");
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = { schemaVersion: 2, mediaType, config, layers: layers.map(({ descriptor }) => descriptor) };
  writeFileSync(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(layout, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [blob(manifest, mediaType)] }),
  );
  run(["skopeo", "copy", "-q", "--preserve-digests", "--dest-tls-verify=false", `oci:${layout}`, `docker://${name}`]);
  rmSync(layout, { recursive: true });
}

function fileDigest(path: string): string {
  if (statSync(path).size < 1 << 26) return createHash("sha256").update(readFileSync(path)).digest("hex");
  return run(["sha256sum", path]).slice(0, 64);
}
