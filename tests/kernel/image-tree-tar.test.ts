/** Tars of overlayfs's directories: what is unpacked again is what was there, and nothing of the host gets in. */

import { afterEach, beforeEach, expect } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { TarReader } from "../../src/image/tar/tar-reader.ts";
import { type TreeTarOptions, writeFileTar, writeTreeTar } from "../../src/image/tar/tree-tar.ts";
import { LayerUnpacker } from "../../src/image/tar/unpack.ts";
import { isWhiteout } from "../../src/image/tree/layered-fs.ts";
import { AT_FDCWD } from "../../src/linux/sys/abi.ts";
import {
  type BytePath,
  bytePath,
  fsetxattr,
  getxattrFd,
  listXattrsFd,
  makeDevice,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  openat,
  readlinkFd,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  tryMknodat,
} from "../../src/linux/sys/fs.ts";
import { failureOf, makeTempDir } from "../support/image-store.ts";
import { Random } from "../support/random.ts";
import { collect, readTar } from "../support/read-tar.ts";
import { testIf } from "../support/test-if.ts";

const test = testIf(process.getuid!() === 0, "needs root");

let temp: string;

beforeEach(() => {
  temp = makeTempDir();
});

afterEach(() => rmSync(temp, { recursive: true }));

function directory(name: string): string {
  const path = join(temp, name);
  mkdirSync(path);
  return path;
}

function makeNode(path: string, kind: number, device = 0n): void {
  expect(tryMknodat(AT_FDCWD, path, kind | 0o640, device)).toBe(0);
}

function setXattr(path: string, name: string, value: string): void {
  const fd = openSync(path, O_RDONLY);
  fsetxattr(fd, name, Buffer.from(value), path);
  closeSync(fd);
}

function unpack(tar: Uint8Array, path: string): void {
  const fd = openSync(path, O_RDONLY | O_DIRECTORY);
  const unpacker = new LayerUnpacker(fd);
  const reader = new TarReader(unpacker);
  reader.push(tar);
  reader.end();
  unpacker.finish();
  closeSync(fd);
}

/** Everything of a tree that a layer keeps, one line an entry; names as bytes. Files of one inode share a number. */
function describeTree(root: string): string[] {
  const lines: string[] = [];
  const inodes = new Map<number, number>();
  const visit = (path: Buffer, name: string): void => {
    const stat = lstatSync(path);
    if (stat.isSocket()) return;
    const fd = openat(AT_FDCWD, path.toString("latin1"), O_PATH | O_NOFOLLOW);
    const isLink = stat.isSymbolicLink();
    const xattrs = isLink ? [] : listXattrsFd(fd).map((key) => `${key}=${getxattrFd(fd, key)?.toString("hex")}`);
    const target = isLink ? readlinkFd(fd) : "";
    closeSync(fd);
    if (!inodes.has(stat.ino)) inodes.set(stat.ino, inodes.size);
    const content = stat.isFile() ? Bun.hash(readFileSync(path)).toString(16) : target;
    const mtime = Math.floor(stat.mtimeMs / 1000);
    const what = `${stat.mode.toString(8)} ${stat.uid}:${stat.gid} ${stat.rdev} ${mtime} #${inodes.get(stat.ino)}`;
    lines.push(`${name} ${what} ${content} ${xattrs.join(" ")}`);
    if (!stat.isDirectory()) return;
    for (const child of readdirSync(path, { encoding: "buffer" }).sort(Buffer.compare))
      visit(Buffer.concat([path, Buffer.from("/"), child]), `${name}/${child.toString("latin1")}`);
  };
  visit(Buffer.from(root), ".");
  return lines;
}

const LAYER: TreeTarOptions = { form: "layer", includeRoot: true };
const MERGED: TreeTarOptions = { form: "merged", includeRoot: true };

const NAMES = ["a", "b c", "\u00e4", "x".repeat(120), "new\nline", "-rf", "\xff\xfe", ".hidden", "'\"\\", "*"];

/** Makes entries of every kind below `root`; whiteouts and opaque directories only if `asLayer`. */
function growTree(random: Random, root: string, asLayer: boolean): void {
  const files: Buffer[] = [];
  const grow = (parent: Buffer, depth: number): void => {
    for (let count = random.below(7); count > 0; count--) {
      const name = Buffer.from(random.pick(NAMES) + random.below(4), random.below(2) === 0 ? "latin1" : "utf8");
      const path = Buffer.concat([parent, Buffer.from("/"), name]);
      const text = path.toString("latin1");
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue;
      const kind = random.below(asLayer ? 9 : 8);
      if (kind <= 1 && depth < 5) {
        mkdirSync(path);
        grow(path, depth + 1);
        if (asLayer && random.below(4) === 0) {
          const fd = openSync(path, O_RDONLY);
          fsetxattr(fd, "trusted.overlay.opaque", Buffer.from("y"), "opaque");
          closeSync(fd);
        }
      } else if (kind <= 3) {
        writeFileSync(
          path,
          Buffer.alloc(random.pick([0, 1, 511, 512, 513, 5000, 70_000, 300_000]), random.u32() & 255),
        );
        files.push(path);
        if (random.below(3) === 0) {
          const fd = openSync(path, O_RDONLY);
          fsetxattr(fd, `user.x${random.below(3)}`, Buffer.alloc(random.below(200), 0x0a), "user");
          if (random.below(2) === 0)
            fsetxattr(fd, "security.capability", Buffer.from("0100000200040000000000000000000000000000", "hex"), "cap");
          closeSync(fd);
        }
      } else if (kind === 4) symlinkSync(random.pick(["../../etc/passwd", "/", "a", "t".repeat(200)]), path);
      else if (kind === 5) makeNode(text, S_IFIFO);
      else if (kind === 6)
        makeNode(text, random.pick([S_IFCHR, S_IFBLK]), makeDevice(1 + random.below(300), random.below(70000)));
      else if (kind === 7 && files.length > 0) linkSync(random.pick(files), path);
      else if (kind === 8) makeNode(text, S_IFCHR, 0n);
      else continue;
      const made = lstatSync(path);
      if (made.isSymbolicLink() || isWhiteout(made) || kind === 7) continue;
      const capability = kind <= 3 && kind > 1 && listXattrsOf(text).includes("security.capability");
      if (!capability) chownSync(path, random.pick([0, 1000, 3_000_000]), random.pick([0, 5]));
      chmodSync(path, random.pick([0o644, 0o755, 0o4711, 0o1777, 0o000]));
      utimesSync(path, 1, random.pick([0, 1_600_000_000, 2 ** 33 + 5]));
    }
  };
  grow(Buffer.from(root), 0);
}

function listXattrsOf(path: string): string[] {
  const fd = openat(AT_FDCWD, path, O_PATH | O_NOFOLLOW);
  const names = listXattrsFd(fd);
  closeSync(fd);
  return names;
}

/** What the tar cannot say of a whiteout: who owned the mark. */
const withoutMarks = (lines: string[]) =>
  lines.map((line) => line.replace(/^(.*) 20\d+ \d+:\d+ 0 \d+ #\d+ +$/s, "$1 whiteout").replace(/ #\d+/, ""));

test("any tree: what is written as a layer is unpacked as the same tree, hard links, xattrs and marks included", async () => {
  const random = Random.fromEnvironment("image-tree-tar");
  for (let round = 0; round < 12; round++) {
    const [source, target] = [directory(`source${round}`), directory(`target${round}`)];
    growTree(random, source, true);
    const tar = await collect(writeTreeTar([source], LAYER));
    expect(tar.length % 512).toBe(0);
    unpack(tar, target);
    expect(withoutMarks(describeTree(target))).toEqual(withoutMarks(describeTree(source)));
    expect(await collect(writeTreeTar([source], LAYER))).toEqual(tar);
  }
});

test("layers: what is written as merged is what overlayfs shows of them", async () => {
  const random = Random.fromEnvironment("image-tree-tar, merged");
  for (let round = 0; round < 8; round++) {
    const layers = [3, 2, 1].map((number) => directory(`layer${round}.${number}`));
    for (const [index, layer] of layers.entries()) growTree(random, layer, index < 2);
    const [merged, fromTar, fromOverlay] = ["merged", "a", "b"].map((name) => directory(name + round)) as [
      string,
      string,
      string,
    ];
    unpack(await collect(writeTreeTar(layers, MERGED)), fromTar);
    execFileSync("mount", ["-t", "overlay", "overlay", "-o", `lowerdir=${layers.join(":")}`, merged]);
    try {
      unpack(await collect(writeTreeTar([merged], MERGED)), fromOverlay);
    } finally {
      execFileSync("umount", [merged]);
    }
    expect(describeTree(fromTar)).toEqual(describeTree(fromOverlay));
  }
});

test("a socket is left out, and overlayfs's own xattrs; a sparse file is written plainly", async () => {
  const root = directory("root");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(root, "socket"), resolve));
  mkdirSync(join(root, "dir"));
  setXattr(join(root, "dir"), "trusted.overlay.origin", "x");
  setXattr(join(root, "dir"), "trusted.mine", "x");
  writeFileSync(join(root, "sparse"), "head");
  truncateSync(join(root, "sparse"), 1_000_000);
  const entries = readTar(await collect(writeTreeTar([root], { form: "layer", includeRoot: false })));
  server.close();
  expect(entries.map(({ path }) => path as string)).toEqual(["dir/", "sparse"]);
  expect(entries[0]!.xattrs.map(({ name }) => name)).toEqual(["trusted.mine"]);
  expect(entries[1]!.content.equals(Buffer.concat([Buffer.from("head"), Buffer.alloc(999_996)]))).toBe(true);
});

test("what a layer or tar cannot hold is refused by name", async () => {
  const write = (root: string) => failureOf(() => collect(writeTreeTar([root], LAYER)));
  const marker = directory("marker");
  writeFileSync(join(marker, ".wh.x"), "");
  expect((await write(marker)).message).toContain('"/.wh.x" has a name that means something else in a layer');
  const xattr = directory("xattr");
  writeFileSync(join(xattr, "f"), "");
  setXattr(join(xattr, "f"), "user.a=b", "");
  expect((await write(xattr)).message).toContain('"/f" has an xattr that no tar can hold: "user.a=b"');
  const redirect = directory("redirect");
  mkdirSync(join(redirect, "d"));
  setXattr(join(redirect, "d"), "trusted.overlay.redirect", "/old");
  expect((await write(redirect)).message).toContain("overlayfs's redirect");
  const deep = directory("deep");
  mkdirSync(join(deep, "d/".repeat(300)), { recursive: true });
  expect((await write(deep)).message).toContain("is deeper than 256 directories");
});

/** Renames directories and swaps them for symlinks to the host, as fast as it can. */
const MISCHIEF = `
  const { workerData: { root, outside }, parentPort } = require("node:worker_threads");
  const { mkdirSync, renameSync, rmdirSync, symlinkSync, unlinkSync, writeFileSync } = require("node:fs");
  const state = new Int32Array(require("node:worker_threads").workerData.shared);
  parentPort.postMessage("begun");
  for (let i = 0; Atomics.load(state, 0) === 0; i++) {
    const name = root + "/d" + (i % 20);
    try { renameSync(name, root + "/away"); symlinkSync(outside, name); } catch {}
    try { unlinkSync(name); renameSync(root + "/away", name); } catch {}
    try { unlinkSync(name + "/sub/f"); symlinkSync(outside + "/secret", name + "/sub/f"); } catch {}
    try { unlinkSync(name + "/sub/f"); writeFileSync(name + "/sub/f", "ours" + "x".repeat(i % 3000)); } catch {}
    try { mkdirSync(name + "/gone"); mkdirSync(name + "/gone/too"); } catch {}
    try { rmdirSync(name + "/gone/too"); rmdirSync(name + "/gone"); } catch {}
  }
`;

test("a tree that changes under us never makes us read what is outside of it", async () => {
  const [root, outside] = [directory("root"), directory("outside")];
  writeFileSync(join(outside, "secret"), "SECRET");
  mkdirSync(join(outside, "sub"));
  writeFileSync(join(outside, "sub/f"), "SECRET");
  for (let i = 0; i < 20; i++) {
    mkdirSync(join(root, `d${i}/sub`), { recursive: true });
    writeFileSync(join(root, `d${i}/sub/f`), "ours");
  }
  const shared = new SharedArrayBuffer(4);
  const state = new Int32Array(shared);
  const worker = new Worker(MISCHIEF, { eval: true, workerData: { root, outside, shared } });
  const ended = new Promise((resolve) => worker.once("exit", resolve));
  await new Promise((resolve) => worker.once("message", resolve));
  let sawLinks = 0;
  for (const options of [LAYER, MERGED])
    for (let round = 0; round < 150 || (sawLinks === 0 && round < 5000); round++) {
      const tar = await collect(writeTreeTar([root], options));
      expect(tar.includes("SECRET")).toBe(false);
      for (const entry of readTar(tar)) if (entry.type === "symlink") sawLinks++;
    }
  Atomics.store(state, 0, 1);
  await ended;
  expect(sawLinks).toBeGreaterThan(0); // the mischief was seen: it did meet us
  renameSync(root, join(temp, "done"));
});

test("in a mounted directory overlayfs's marks are files and attributes like others, and each entry has the asked name", async () => {
  const path = directory("mounted");
  makeNode(join(path, "like-a-whiteout"), S_IFCHR);
  mkdirSync(join(path, "sub"));
  setXattr(join(path, "sub"), "user.overlay.redirect", "/elsewhere");
  mkdirSync(join(path, "closed"));
  writeFileSync(join(path, "closed/hidden"), "");
  const closed = lstatSync(join(path, "closed")).ino;
  const fd = openat(AT_FDCWD, bytePath(path), O_PATH | O_DIRECTORY);
  const tar = writeFileTar(
    fd,
    "name" as BytePath,
    (directoryFd) => fstatSync(directoryFd).ino === closed,
  ) as Generator<Uint8Array>;
  const entries = readTar(await collect(tar)).map(({ path: name, type }) => `${type} ${name}`);
  expect(entries).toEqual([
    "directory name/",
    "directory name/closed/",
    "char name/like-a-whiteout",
    "directory name/sub/",
  ]);
  const file = openat(AT_FDCWD, bytePath(join(path, "closed/hidden")), O_PATH | O_NOFOLLOW);
  const [one, ...more] = readTar(
    await collect(writeFileTar(file, "one" as BytePath, () => true) as Generator<Uint8Array>),
  );
  expect(one).toMatchObject({ type: "file", path: "one" });
  expect(more).toEqual([]);
});
