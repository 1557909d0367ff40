/** A local registry, and images in it that are worth a measurement. */
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

const PACKAGES = "gcc,libc6-dev,python3,git,perl,curl,vim-tiny,less,procps,openssl";
/** What goes into a layer of its own; the rest is the first. */
const LAYERS = [
  "usr/lib/gcc",
  "usr/lib/python3*",
  "usr/share/doc usr/share/locale usr/share/man",
  "usr/bin",
  "usr/include",
  "var",
];

/** Debian trixie with a compiler and Python in seven layers, in the registry. */
export function makeDebianImage(folder: string, host: string): { name: string; layers: number; bytes: number } {
  const root = join(folder, "debian");
  run(["mmdebstrap", "--quiet", "--variant=minbase", `--include=${PACKAGES}`, "trixie", root]);
  const split = LAYERS.map((paths) => paths.split(" "));
  const rest = split.flat().flatMap((path) => ["--exclude", `./${path}`]);
  const tar = ["tar", "-C", root, "--sort=name", "--numeric-owner"];
  const tars = [join(folder, "layer-0.tar")];
  run([...tar, ...rest, "-cf", tars[0]!, "."]);
  for (const [index, paths] of split.entries()) {
    const path = join(folder, `layer-${index + 1}.tar`);
    run(["sh", "-c", `cd "$0" && exec tar --sort=name --numeric-owner -cf "$1" ${paths.join(" ")}`, root, path]);
    tars.push(path);
  }
  rmSync(root, { recursive: true });
  return { name: `${host}/bench/debian:1`, ...push(folder, `${host}/bench/debian:1`, tars) };
}

const BIG_LAYER_MIB = 2048;

/** One layer of 2 GiB that no compression makes smaller. */
export function makeBigImage(folder: string, host: string): string {
  const [file, tar] = [join(folder, "noise"), join(folder, "big.tar")];
  run(["dd", "if=/dev/urandom", `of=${file}`, "bs=1M", `count=${BIG_LAYER_MIB}`, "status=none"]);
  run(["tar", "-C", folder, "-cf", tar, "noise"]);
  rmSync(file);
  push(folder, `${host}/bench/big:1`, [tar]);
  return `${host}/bench/big:1`;
}

/** Compresses the layers, as registries have them, and copies the image there. Removes the tars. */
function push(folder: string, name: string, tars: readonly string[]): { layers: number; bytes: number } {
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
  const config = blob(
    {
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: { Cmd: ["sh"] },
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => `sha256:${diffId}`) },
    },
    "application/vnd.oci.image.config.v1+json",
  );
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = { schemaVersion: 2, mediaType, config, layers: layers.map(({ descriptor }) => descriptor) };
  writeFileSync(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(layout, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [blob(manifest, mediaType)] }),
  );
  run(["skopeo", "copy", "-q", "--preserve-digests", "--dest-tls-verify=false", `oci:${layout}`, `docker://${name}`]);
  rmSync(layout, { recursive: true });
  return { layers: layers.length, bytes: layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0) };
}

function fileDigest(path: string): string {
  if (statSync(path).size < 1 << 26) return createHash("sha256").update(readFileSync(path)).digest("hex");
  return run(["sha256sum", path]).slice(0, 64);
}
