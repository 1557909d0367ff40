/** `docker cp` to and from containers that do their worst meanwhile: nothing of the host is read, written or changed. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { FileUpload } from "../support/file-upload.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { lighterProgram } from "../support/program.ts";
import { readTar } from "../support/read-tar.ts";
import { isEmulated } from "../support/sample.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");
const TAR = { "Content-Type": "application/x-tar" };
const SECRET = "SECRET-OF-THE-HOST";
/** How often a race is tried: what a racer does has to fall between two system calls. More often, if it has not been on by then. */
const ROUNDS = isEmulated ? 10 : 200;
const VOLUME_ROUNDS = isEmulated ? 6 : 60;
const PART_ROUNDS = isEmulated ? 6 : 40;
const OUTCOMES = ["read 200", "read 404", "write 200", "write 404"];

let daemon: TestDaemon;
/** Directories of the host: one that no container is given, and one with the attacker. */
let outside: string;
let tools: string;

beforeAll(async () => {
  if (!isRoot) return;
  outside = mkdtempSync(join(tmpdir(), "lighter-outside-"));
  mkdirSync(join(outside, "sub"), { mode: 0o700 });
  for (const name of ["secret", "sub/secret"]) writeFileSync(join(outside, name), SECRET, { mode: 0o600 });
  tools = mkdtempSync(join(tmpdir(), "lighter-tools-"));
  const built = spawnSync("cc", ["-static", "-O1", "-o", join(tools, "attacker"), "tests/support/attacker.c"]);
  if (built.status !== 0) throw new Error(`attacker.c does not build: ${built.stderr}`);
  daemon = await TestDaemon.start();
});

afterAll(async () => {
  if (!isRoot) return;
  await daemon[Symbol.asyncDispose]();
  for (const path of [outside, tools]) rmSync(path, { recursive: true });
});

/** Path, mode, owner, size and time of all that is in there, itself among them. */
function contentsOf(path: string): string[] {
  const { mode, uid, size, mtimeMs } = lstatSync(path);
  const line = `${path} ${mode.toString(8)} ${uid} ${size} ${mtimeMs}`;
  if (!statSync(path).isDirectory()) return [line];
  return [
    line,
    ...readdirSync(path)
      .sort()
      .flatMap((name) => contentsOf(join(path, name))),
  ];
}

/** Exchanges the directory W/d and W/l, a link to the host's, without a pause. */
async function startRacer(place: string, binds: string[]): Promise<string> {
  const script =
    `mkdir -p ${place}/d/sub; echo mine > ${place}/d/secret; echo mine > ${place}/d/sub/secret; ` +
    `ln -s ${outside} ${place}/l; exec /tools/attacker swap ${place}/d ${place}/l`;
  const HostConfig = { ...hostUsr, Binds: [...hostUsr.Binds, `${tools}:/tools:ro`, ...binds] };
  const id = await daemon.run({ Cmd: ["/bin/sh", "-c", script], HostConfig });
  const attached = await daemon.hijack(`/containers/${id}/attach?logs=1&stream=1&stdout=1`);
  await attached.until((text) => text.includes("on\n"));
  attached.socket.destroy();
  return id;
}

/** Copies in both directions through the place where the race is. */
async function copyAround(id: string, place: string): Promise<void> {
  const before = contentsOf(outside);
  const upload = rawTar(
    { name: "planted", content: "planted" },
    { name: "sub/", type: "5", mode: 0o777 },
    { name: "sub/secret", content: "overwritten" },
  );
  const seen = new Map<string, number>();
  const isDecided = () => OUTCOMES.every((outcome) => seen.has(outcome));
  for (let round = 0; round < ROUNDS || (round < 20 * ROUNDS && !isDecided()); round++) {
    for (const path of ["d/secret", "d/sub/secret", "d/", "d"]) {
      const { status, text } = await daemon.request("GET", `/containers/${id}/archive?path=${place}/${path}`);
      seen.set(`read ${status}`, (seen.get(`read ${status}`) ?? 0) + 1);
      expect(text).not.toContain(SECRET);
    }
    const head = await daemon.request("HEAD", `/containers/${id}/archive?path=${place}/d/secret`);
    expect([200, 404]).toContain(head.status);
    for (const path of ["d", "d/sub"]) {
      const { status } = await daemon.request("PUT", `/containers/${id}/archive?path=${place}/${path}`, upload, TAR);
      seen.set(`write ${status}`, (seen.get(`write ${status}`) ?? 0) + 1);
    }
  }
  expect(contentsOf(outside)).toEqual(before);
  // The race was on: each came upon the directory, and upon the link.
  for (const outcome of OUTCOMES) expect(seen.get(outcome) ?? 0, outcome).toBeGreaterThan(0);
}

rooted("a directory that turns into a link to the host's and back (CVE-2018-15664, CVE-2021-41089)", async () => {
  const id = await startRacer("/w", []);
  await copyAround(id, "/w");
});

rooted("the same in a volume, whose other container does not run (CVE-2026-41568, CVE-2026-42306)", async () => {
  const racer = await startRacer("/v", ["raced:/v"]);
  const id = await daemon.create({ HostConfig: { ...hostUsr, Binds: ["raced:/v", `${tools}:/v/d/mounted:ro`] } });
  const before = contentsOf(outside);
  const outcomes = new Set<number>();
  for (let round = 0; round < VOLUME_ROUNDS || (round < 20 * VOLUME_ROUNDS && !outcomes.has(200)); round++) {
    const path = `/containers/${id}/archive?path=/v/d/secret`;
    const { status, text } = await daemon.request("GET", path);
    outcomes.add(status);
    expect(text).not.toContain(SECRET);
    const written = rawTar({ name: "planted", content: "planted" });
    await daemon.request("PUT", `/containers/${id}/archive?path=/v/d`, written, TAR);
  }
  expect(outcomes.has(200)).toBe(true);
  expect(contentsOf(outside)).toEqual(before);
  await daemon.request("DELETE", `/containers/${racer}?force=1`);
});

rooted("a part of a volume that turns into a link to the host's and back is never the host's", async () => {
  const racer = await startRacer("/v", ["parted:/v"]);
  const before = contentsOf(outside);
  const VolumeOptions = { Subpath: "d" };
  const Mounts = [{ Type: "volume", Source: "parted", Target: "/p", VolumeOptions }];
  const seen = new Set<string>();
  const hasSeenBoth = () => seen.has("the directory") && seen.size > 1;
  for (let round = 0; round < PART_ROUNDS || (round < 20 * PART_ROUNDS && !hasSeenBoth()); round++) {
    const id = await daemon.create({ Cmd: ["/bin/cat", "/p/secret"], HostConfig: { ...hostUsr, Mounts } });
    const waiting = await daemon.wait(id, "next-exit");
    const { status } = await daemon.request("POST", `/containers/${id}/start`);
    if (status === 204) await waiting.answer;
    const { text } = await daemon.request("GET", `/containers/${id}/logs?stdout=1&stderr=1`);
    expect(text).not.toContain(SECRET);
    seen.add(text.includes("mine") ? "the directory" : `${status}`);
    await daemon.request("DELETE", `/containers/${id}?force=1`);
  }
  expect([...seen]).toContain("the directory");
  expect(seen.size).toBeGreaterThan(1); // the link was met, too, and led nowhere
  expect(contentsOf(outside)).toEqual(before);
  await daemon.request("DELETE", `/containers/${racer}?force=1`);
});

/** An image whose programs and links are traps. */
async function loadTraps(): Promise<void> {
  const trap = "#!/bin/sh\ntouch /SPRUNG\n";
  const programs = ["unpigz", "gunzip", "gzip", "zstd", "xz", "tar", "sh"];
  const layer = rawTar(
    ...programs.map((name) => ({ name: `bin/${name}`, mode: 0o755, content: trap })),
    { name: "etc/passwd", content: "root:x:0:0::/:/bin/sh\nbob:x:1234:1235::/:/bin/sh\n" },
    { name: "etc/ld.so.preload", content: "/lib/trap.so\n" },
    { name: "lib/trap.so", mode: 0o755, content: trap },
    { name: "lib/x86_64-linux-gnu/libnss_files.so.2", mode: 0o755, content: trap },
    { name: "evil", type: "2", linkName: outside },
    { name: "shadow", type: "2", linkName: join(outside, "secret") },
    { name: "data/", type: "5" },
  );
  const config = { Cmd: ["/bin/sh"], Volumes: { "/../../etc": {}, "/evil": {} } };
  const archive = dockerArchive({ layers: [layer], tags: ["traps:latest"], config });
  expect((await daemon.request("POST", "/images/load", archive, TAR)).status).toBe(200);
}

rooted("no program or library of the container is used (CVE-2019-14271, CVE-2026-41567)", async () => {
  await loadTraps();
  const id = await daemon.create({ Image: "traps", User: "bob", HostConfig: { NetworkMode: "none" } });
  const upload = gzipSync(rawTar({ name: "f", content: "new", uid: 7, gid: 7 }));
  const path = `/containers/${id}/archive?path=/data`;
  expect((await daemon.request("PUT", `${path}&copyUIDGID=1`, upload, TAR)).status).toBe(200);
  const { text } = await daemon.request("GET", `${path}/f`);
  expect(readTar(Buffer.from(text, "latin1"))).toMatchObject([{ path: "f", uid: 1234, gid: 1235, size: 3 }]);
  for (const trace of ["SPRUNG", "data/SPRUNG"])
    expect((await daemon.request("HEAD", `/containers/${id}/archive?path=/${trace}`)).status).toBe(404);
});

rooted("a link to the host's is the link, or leads to nothing (CVE-2019-10152)", async () => {
  await loadTraps();
  const id = await daemon.create({ Image: "traps", HostConfig: { NetworkMode: "none" } });
  const get = (path: string) => daemon.request("GET", `/containers/${id}/archive?path=${path}`);
  const [link] = readTar(Buffer.from((await get("/shadow")).text, "latin1"));
  expect(link).toMatchObject({ type: "symlink", path: "shadow", linkPath: join(outside, "secret"), size: 0 });
  for (const path of ["/evil/secret", "/evil/sub/secret", "/shadow/."]) expect((await get(path)).status).toBe(404);
});

rooted("an image's volumes hold what the image has there, and nothing of the host (CVE-2022-23648)", async () => {
  await loadTraps();
  const before = contentsOf(outside);
  const id = await daemon.create({ Image: "traps", HostConfig: { NetworkMode: "none" } });
  const { text } = await daemon.request("GET", `/containers/${id}/archive?path=/etc/`);
  const names = readTar(Buffer.from(text, "latin1")).map(({ path }) => path);
  expect(names.map(String)).toContain("etc/passwd");
  const { Mounts } = await daemon.inspect(id);
  const filesOf = (destination: string) =>
    readdirSync(Mounts.find((mount: { Destination: string }) => mount.Destination === destination).Source);
  expect(filesOf("/etc").sort()).toEqual(["ld.so.preload", "passwd"]);
  expect(filesOf("/evil")).toEqual([]);
  expect(contentsOf(outside)).toEqual(before);
});

rooted("others can neither list nor enter what is the daemon's (CVE-2021-41091, CVE-2024-25621)", () => {
  const mode = (path: string) => (statSync(path).mode & 0o7777).toString(8);
  for (const path of [daemon.dataRoot, join(daemon.dataRoot, "containers")]) expect(mode(path)).toBe("710");
  for (const name of ["c", "e", "v"]) expect(mode(join(daemon.execRoot, name))).toBe("700");
  expect(mode(join(daemon.dataRoot, "lighter.db"))).toBe("600");
});

const MODES = [0o600, 0o644, 0o755];
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Runs our command line to its end. */
async function lighter(args: readonly string[], socketPath = daemon.socketPath): Promise<string> {
  const child = Bun.spawn([lighterProgram, ...args], {
    env: { ...process.env, LIGHTER_HOST: `unix://${socketPath}` },
    stdout: "pipe",
    stderr: "pipe",
  });
  const text = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return `${await child.exited} ${text.join("")}`;
}

/** A directory of the host with files around the sizes at which they are sent otherwise, among small ones. */
function makeLargeFiles(): { folder: string; sums: Map<string, string> } {
  const folder = mkdtempSync(join(tmpdir(), "lighter-large-"));
  const sums = new Map<string, string>();
  for (const [index, size] of [0, 3, 262143, 262144, 262145, 16777215, 16777216, 16777217, 7].entries()) {
    const bytes = randomBytes(size);
    const name = `${index}-${size}`;
    writeFileSync(join(folder, name), bytes, { mode: MODES[index % MODES.length]! });
    sums.set(name, sha256(bytes));
  }
  return { folder, sums };
}

function expectLargeFiles(path: string, sums: ReadonlyMap<string, string>): void {
  expect(new Map(readdirSync(path).map((name) => [name, sha256(readFileSync(join(path, name)))]))).toEqual(
    new Map(sums),
  );
  for (const [index, name] of [...sums.keys()].entries())
    expect([name, statSync(join(path, name)).mode & 0o7777]).toEqual([name, MODES[index % MODES.length]!]);
}

/** Copies the files into a container and out of it, and compares. */
async function copyThereAndBack(id: string, socketPath: string, large: ReturnType<typeof makeLargeFiles>) {
  const back = mkdtempSync(join(tmpdir(), "lighter-back-"));
  const place = `${id}:/${basename(back)}`;
  try {
    expect(await lighter(["cp", "-q", large.folder, place], socketPath)).toBe("0 ");
    expect(await lighter(["cp", "-q", `${place}/.`, back], socketPath)).toBe("0 ");
    expectLargeFiles(back, large.sums);
  } finally {
    rmSync(back, { recursive: true });
  }
}

rooted("large files are copied whole, also by a program between that loses descriptors", async () => {
  const large = makeLargeFiles();
  const relayPath = `${large.folder}.sock`;
  const relay = createServer((client) => {
    const server = connect(daemon.socketPath);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const)
      from.on("error", () => to.destroy()).pipe(to);
  }).listen(relayPath);
  try {
    const body = { Cmd: ["/bin/sleep", "1000"], HostConfig: { ...hostUsr } };
    for (const id of [await daemon.create(body), await daemon.run(body)])
      for (const socketPath of [daemon.socketPath, relayPath]) await copyThereAndBack(id, socketPath, large);
  } finally {
    relay.close();
    rmSync(large.folder, { recursive: true });
  }
});

rooted("descriptors in place of bytes are taken for content of regular files alone", async () => {
  const id = await daemon.create({ HostConfig: { ...hostUsr, NetworkMode: "none" } });
  const [folder, size] = [mkdtempSync(join(tmpdir(), "lighter-range-")), 4096];
  const path = join(folder, "file");
  writeFileSync(path, Buffer.alloc(size, "x"));
  const header = rawTar({ name: "taken", content: Buffer.alloc(size) }).subarray(0, 512);
  /** Sends the header, then `line` with the descriptor. */
  const upload = (fd: number | undefined, line = "1000;file=0\r\n", first: Uint8Array = header) => {
    using client = new FileUpload(daemon.socketPath, id, "/");
    expect(client.answer()).toStartWith("HTTP/1.1 102 ");
    client.sendChunk(first);
    client.send(line, ...(fd === undefined ? [] : [fd]));
    return client.answer();
  };
  const opened = [path, "/proc/self/environ", folder, "/dev/zero"].map((name) => openSync(name, "r"));
  const [file = -1, ofKernel, directory, device] = opened;
  try {
    expect(upload(file)).toStartWith("HTTP/1.1 102 ");
    for (const fd of [ofKernel, directory, device, undefined]) expect(upload(fd)).toContain("no regular file");
    expect(upload(file, "1001;file=0\r\n")).toContain("where its content cannot be");
    expect(upload(file, "1000;file=0\r\n", header.subarray(0, 100))).toContain("where its content cannot be");
    expect(upload(file, "1000;file=0\r\nmore")).toContain("malformed chunked encoding");
    truncateSync(path, size - 1);
    expect(upload(file)).toContain('\\"taken\\" became shorter while it was copied');
    // Whoever asks first may have lost the descriptor on the way, or break off at any time.
    expect(upload(undefined, "0;file=0\r\n", new Uint8Array(1))).toStartWith("HTTP/1.1 100 ");
    for (let round = 0; round < 20; round++) {
      using client = new FileUpload(daemon.socketPath, id, "/");
      if (round % 2 === 1) client.answer();
      for (let times = 0; times < round; times++) client.send("0;file=0\r\n", file, file);
    }
    expect((await daemon.request("HEAD", `/containers/${id}/archive?path=/taken`)).status).toBe(200);
  } finally {
    for (const fd of opened) closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});
