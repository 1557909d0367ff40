import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "../../../tests/support/random.ts";
import { rooted } from "../../../tests/support/stage.ts";
import type { LighterError } from "../../base/errors.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import { type BytePath, bytePath, O_DIRECTORY, O_PATH, openat } from "../../linux/sys/fs.ts";
import { LiveExtractor } from "../tar/extract-live.ts";
import { type TarEntry, TarReader } from "../tar/tar-reader.ts";
import { encodeTarHeader, TAR_END, tarPaddingBytes } from "../tar/tar-writer.ts";
import { ContentHash } from "./content.ts";
import { copySource } from "./copy.ts";
import { KnownTree } from "./known-tree.ts";
import { LayerTarget } from "./layer-target.ts";
import { LayerTree } from "./layer-tree.ts";
import { isDirectory, isFile, isSymlink, readWhole, type SourceTree } from "./source-tree.ts";
import { openSource } from "./sources.ts";
import { SpoolWriter } from "./spool-writer.ts";
import { SpooledTree } from "./spooled-tree.ts";

const work = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-spool-"));
afterAll(() => rmSync(work, { recursive: true }));
let count = 0;

function directory(): string {
  const path = join(work, `${count++}`);
  mkdirSync(path, { mode: 0o755 });
  return path;
}

type Given = Partial<Omit<TarEntry, "path" | "linkPath">> & { path: string; linkPath?: string; content?: Uint8Array };

function tarOf(entries: readonly Given[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { content = new Uint8Array(0), ...given } of entries) {
    const entry = {
      ...{ type: "file", mode: 0o644, uid: 7, gid: 8, mtimeSeconds: 1_600_000_000, mtimeNanoseconds: 0 },
      ...{ deviceMajor: 0, deviceMinor: 0, xattrs: [], linkPath: "", ...given, size: content.length },
    } as TarEntry;
    parts.push(encodeTarHeader(entry), content, new Uint8Array(tarPaddingBytes(content.length)));
  }
  return Buffer.concat([...parts, TAR_END]);
}

function spool(
  tar: Uint8Array,
  pieceBytes = 1000,
  { path = directory(), base }: { path?: string; base?: string } = {},
): string {
  using writer = new SpoolWriter(path, { basePath: base });
  const reader = new TarReader(writer);
  for (let at = 0; at < tar.length; at += pieceBytes) reader.push(tar.subarray(at, at + pieceBytes));
  reader.end();
  writer.finish();
  return path;
}

/** What the kernel makes of the tar, by which a spool is judged. */
function extract(tar: Uint8Array): string {
  const path = directory();
  const rootFd = openat(AT_FDCWD, bytePath(path), O_PATH | O_DIRECTORY);
  const extractor = new LiveExtractor(rootFd, bytePath("/"), { keepKinds: false, owner: { uid: 0, gid: 0 } });
  try {
    const reader = new TarReader(extractor);
    reader.push(tar);
    reader.end();
    extractor.finish();
    return path;
  } finally {
    extractor.close();
    closeSync(rootFd);
  }
}

function hashOf(tree: SourceTree, path = "/"): string {
  const hash = new ContentHash(() => {});
  const { entry } = openSource(tree, bytePath(path));
  hash.add(entry, {});
  entry.close();
  return hash.digest();
}

function copyOf(tree: SourceTree): string {
  const path = directory();
  using target = new LayerTarget(path, []);
  const source = openSource(tree, bytePath("/"));
  copySource(target, source, bytePath("/"), { mustBeInto: false }, () => {});
  source.entry.close();
  return path;
}

function textOf(tree: SourceTree, path: string): string | undefined {
  const entry = tree.find(path as BytePath);
  if (entry === undefined) return undefined;
  return readWhole(entry).toString("latin1");
}

/** Compares a spool with an extracted tar, and both with a copy of the spool. */
function expectSame(tar: Uint8Array): void {
  using spooled = new SpooledTree(spool(tar));
  const wanted = hashOf(new LayerTree([extract(tar)]));
  expect(hashOf(spooled)).toBe(wanted);
  expect(hashOf(new LayerTree([copyOf(spooled)]))).toBe(wanted);
}

/** LIGHTER_TEST_FILES=1000000 tries as many as a context of real life may have, in seconds. */
const MANY_FILES = Number(process.env.LIGHTER_TEST_FILES ?? 50_000);
const NO_ENTRY: TarEntry = {
  ...{ type: "file", path: "" as BytePath, linkPath: "" as BytePath, mode: 0o644, uid: 0, gid: 0, size: 0 },
  ...{ mtimeSeconds: 0, mtimeNanoseconds: 0, deviceMajor: 0, deviceMinor: 0, xattrs: [] },
};
const manyName = (index: number) => bytePath(`many/${Math.floor(index / 100)}/file-${index}`);
const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 100);
const large = Buffer.alloc(3 * 1024 * 1024, "large ");
const bytes = (text: string) => Buffer.from(text);

rooted("a spooled context is what the kernel would make of its tar", () => {
  expectSame(
    tarOf([
      { path: "./", type: "directory", mode: 0o700 },
      { path: "d/", type: "directory", mode: 0o2750 },
      { path: "d/a", content: bytes("first"), mode: 0o4755 },
      { path: "d/a", content: bytes("second") },
      { path: "deep/er/b", content: bytes("implied") },
      { path: "large", content: large },
      { path: "medium", content: Buffer.from(Array.from({ length: 700_000 }, (_, index) => index % 251)) },
      { path: "hard", type: "hardlink", linkPath: "large" },
      { path: "hard-too", type: "hardlink", linkPath: "d/a" },
      { path: "to-d", type: "symlink", linkPath: "d" },
      { path: "to-d/through", content: bytes("through a link") },
      { path: "up", type: "symlink", linkPath: "../../../d" },
      { path: "up/above", content: bytes("links cannot leave") },
      { path: "dangling", type: "symlink", linkPath: "/nowhere" },
      { path: "fifo", type: "fifo", mode: 0o600 },
      { path: "device", type: "char", deviceMajor: 1, deviceMinor: 3, mode: 0o666 },
      { path: "caf\xc3\xa9", content: bytes("name in UTF-8") },
      { path: "\xff\xfe", content: bytes("name that is not") },
      { path: "empty" },
      { path: "gone/x", content: large },
      { path: "gone", content: bytes("a file in place of a directory") },
      { path: "dangling/", type: "directory" },
      { path: "dangling/y", content: bytes("a directory in place of a link") },
    ]),
  );
});

rooted("whatever entries follow one another, a spooled context is what the kernel would make of them", () => {
  const random = Random.fromEnvironment("spooled contexts");
  const names = ["a", "b", "c"];
  const path = () => Array.from({ length: 1 + random.below(3) }, () => random.pick(names)).join("/");
  const targets = [...names, "..", ".", "/", "/a", "../b", "a/b", "/none"];
  const kinds = ["file", "file", "directory", "directory", "symlink", "hardlink"] as const;
  for (let round = 0; round < ROUNDS; round++) {
    const entries: Given[] = Array.from({ length: 1 + random.below(12) }, () => {
      const type = random.pick(kinds);
      const content = type === "file" ? bytes("x".repeat(random.below(5))) : bytes("");
      const linkPath = type === "symlink" ? random.pick(targets) : type === "hardlink" ? path() : "";
      return { type, path: path(), linkPath, content, mode: random.pick([0o600, 0o755, 0o1777]) };
    });
    const tar = tarOf(entries);
    const [ours, its] = [() => spool(tar), () => extract(tar)].map(outcomeOf);
    const about = JSON.stringify(entries.map(({ content: _, ...rest }) => rest));
    expect(`${about}: ${ours?.error}`).toBe(`${about}: ${its?.error}`);
    if (ours?.path === undefined) continue;
    using spooled = new SpooledTree(ours.path);
    expect(`${about}: ${hashOf(spooled)}`).toBe(`${about}: ${hashOf(new LayerTree([its!.path!]))}`);
  }
});

/** A directory as clients send it: sorted, parents first. */
function randomTree(random: Random): Map<string, Given> {
  const tree = new Map<string, Given>();
  for (let count = random.below(12); count > 0; count--) {
    const names = Array.from({ length: 1 + random.below(3) }, () => random.pick(["a", "b", "c"]));
    const path = names.join("/");
    const parents = names.slice(1).map((_, index) => names.slice(0, index + 1).join("/"));
    for (const parent of parents) if (tree.get(parent)?.type !== "directory") tree.delete(parent);
    for (const parent of parents) tree.set(parent, randomEntry(random, parent, "directory"));
    if (tree.get(path)?.type === "directory") continue;
    tree.set(path, randomEntry(random, path, random.pick(["file", "file", "symlink", "directory", "fifo"])));
  }
  return new Map([...tree].sort(([one], [other]) => (one < other ? -1 : 1)));
}

function randomEntry(random: Random, path: string, type: TarEntry["type"]): Given {
  const size = random.below(40) === 0 ? 1024 * 1024 : random.below(4);
  return {
    ...{ type, path, mode: random.pick([0o600, 0o755]), mtimeSeconds: 1_600_000_000 + random.below(2) },
    ...(type === "symlink" ? { linkPath: random.pick(["a", "b"]) } : {}),
    ...(type === "file" ? { content: Buffer.alloc(size, random.below(2)) } : {}),
    // What differs in bytes alone must differ in time: nobody looks into files.
    mtimeNanoseconds: random.below(1000) * 1_000_000,
  };
}

/** Spools what differs from a spooled context. */
function spoolChanges(base: string, tree: Map<string, Given>): string {
  const known = KnownTree.open(base)!;
  const entries = [...tree.values()];
  const asSent = (given: Given) => ({ ...entriesOf(tarOf([given]))[0]!, size: given.content?.length ?? 0 });
  const changes = entries.filter((given) => !known.has(asSent(given)));
  if (changes.length === 0 && known.isWhole) return base;
  const path = directory();
  known.writeSeen(path);
  return spool(tarOf(changes), 1000, { path, base });
}

function entriesOf(tar: Uint8Array): TarEntry[] {
  const entries: TarEntry[] = [];
  const reader = new TarReader({ entry: (entry) => void entries.push(entry), data: () => {}, endEntry: () => {} });
  reader.push(tar);
  reader.end();
  return entries;
}

rooted("a context that is made of an older one and what has changed is as one that was sent whole", () => {
  const random = Random.fromEnvironment("changed contexts");
  for (let round = 0; round < ROUNDS / 4; round++) {
    let tree = randomTree(random);
    let path = spool(tarOf([...tree.values()]));
    for (let step = 0; step < 3; step++) {
      const next = randomTree(random);
      for (const [name, entry] of next) {
        const old = tree.get(name);
        if (old !== undefined && old.type === entry.type && random.below(3) > 0) next.set(name, old);
      }
      tree = next;
      path = spoolChanges(path, tree);
      using changed = new SpooledTree(path);
      using whole = new SpooledTree(spool(tarOf([...tree.values()])));
      expect(hashOf(changed)).toBe(hashOf(whole));
      expect(written(changed)).toEqual(written(whole));
    }
  }
});

/** What a build would write of it: paths, times, and bytes. */
function written(tree: SpooledTree, path = "/" as BytePath): unknown[] {
  const entry = tree.find(path)!;
  if (!isDirectory(entry)) return [];
  return entry.names().map((name) => {
    const child = entry.child(name)!;
    const bytes = isFile(child) ? new Bun.CryptoHasher("sha256").update(readWhole(child)).digest("hex") : "";
    const below = isDirectory(child) ? written(tree, `${path}/${name}` as BytePath) : [];
    return [name, child.mode, child.size, child.attributes(), isSymlink(child) ? child.target() : "", bytes, below];
  });
}

function outcomeOf(make: () => string): { path?: string; error?: string } {
  try {
    return { path: make() };
  } catch (error) {
    return { error: (error as LighterError).code };
  }
}

test("holes of files come out as zeros, and are no bytes of the spool", () => {
  const path = directory();
  {
    using writer = new SpoolWriter(path);
    const entry = (name: string, size: number): TarEntry => ({ ...NO_ENTRY, path: name as BytePath, size });
    writer.entry(entry("plain", 3));
    writer.data(bytes("abc"), 0);
    writer.endEntry();
    writer.entry(entry("holes", 300_000));
    writer.data(bytes("ab"), 1000);
    writer.data(bytes("cd"), 1002);
    writer.data(bytes("ef"), 200_000);
    writer.endEntry();
    writer.entry(entry("hole", 10));
    writer.endEntry();
    writer.finish();
  }
  using tree = new SpooledTree(path);
  const wanted = Buffer.alloc(300_000);
  wanted.set(bytes("abcd"), 1000);
  wanted.set(bytes("ef"), 200_000);
  expect(textOf(tree, "/holes")).toBe(wanted.toString("latin1"));
  expect(textOf(tree, "/hole")).toBe("\0".repeat(10));
  expect(textOf(tree, "/plain")).toBe("abc");
  const copy = copyOf(tree);
  expect(readFileSync(join(copy, "holes")).equals(wanted)).toBe(true);
  expect(hashOf(tree, "/holes")).toBe(hashOf(new LayerTree([copy]), "/holes"));
  expect(readFileSync(join(path, "small")).length).toBe(9);
});

test("a context of very many files takes memory in proportion to them, and its files are found", () => {
  const before = process.memoryUsage().rss;
  const path = directory();
  {
    using writer = new SpoolWriter(path);
    const reader = new TarReader(writer);
    for (let index = 0; index < MANY_FILES; index++) {
      const content = bytes(`${index}`);
      const entry = { ...NO_ENTRY, path: manyName(index), size: content.length };
      reader.push(encodeTarHeader(entry));
      reader.push(content);
      reader.push(new Uint8Array(tarPaddingBytes(content.length)));
    }
    reader.end();
    writer.finish();
  }
  using tree = new SpooledTree(path);
  expect(tree.find(bytePath("/many"))!.names()).toHaveLength(Math.ceil(MANY_FILES / 100));
  for (const index of [0, 7, MANY_FILES - 1]) expect(textOf(tree, `/${manyName(index)}`)).toBe(`${index}`);
  expect(tree.find(bytePath(`/${manyName(0)}-none`))).toBeUndefined();
  expect(hashOf(tree, "/many")).toStartWith("sha256:");
  const grown = process.memoryUsage().rss - before;
  if (MANY_FILES > 50_000) console.log(`${MANY_FILES} files: ${Math.round(performance.now())} ms, ${grown >> 20} MB`);
  expect(grown).toBeLessThan(300 * 1024 * 1024 + 2000 * MANY_FILES);
});

test("what is removed from a spool is gone for who opens it later", () => {
  const path = spool(
    tarOf([
      { path: "a", content: bytes("a") },
      { path: "d/b", content: bytes("b") },
    ]),
  );
  {
    using tree = new SpooledTree(path);
    tree.remove("/d/b" as BytePath);
    tree.remove("/d/none" as BytePath);
    tree.remove("/d" as BytePath); // a directory stays
  }
  using tree = new SpooledTree(path);
  expect([textOf(tree, "/a"), tree.find("/d/b" as BytePath)]).toEqual(["a", undefined]);
  expect(tree.find("/d" as BytePath)!.names()).toEqual([]);
});

test.each([
  ["a link to nothing", [{ path: "x", type: "hardlink", linkPath: "none" }], "ENOENT"],
  [
    "a link to a directory",
    [
      { path: "d/", type: "directory" },
      { path: "x", type: "hardlink", linkPath: "d" },
    ],
    "EPERM",
  ],
  ["a file below a file", [{ path: "f" }, { path: "f/x" }], "ENOTDIR"],
  ["a link in a circle", [{ path: "l", type: "symlink", linkPath: "l" }, { path: "l/x" }], "ELOOP"],
  ["a path below a link to nothing", [{ path: "l", type: "symlink", linkPath: "none" }, { path: "l/x" }], "ENOENT"],
  ["a name that no file system has", [{ path: "n".repeat(256) }], "ENAMETOOLONG"],
  ["too many directories", [{ path: "d/".repeat(300) }], "is deeper than 256 directories"],
] as const)("%s is refused", (_what, entries, text) => {
  expect(() => spool(tarOf(entries as readonly Given[]))).toThrow(text);
});
