import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TarEntry } from "../../image/tar/tar-reader.ts";
import { encodeTarHeader, plainTarEntry, TAR_END, tarPaddingBytes } from "../../image/tar/tar-writer.ts";
import type { CopyPlan } from "./container-path.ts";
import { packTree } from "./copy-pack.ts";
import { Unpacker } from "./copy-unpack.ts";

let folder: string;
let target: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lighter-cp-"));
  target = join(folder, "target");
  mkdirSync(target);
});

afterEach(() => rmSync(folder, { recursive: true }));

function entry(path: string, changes: Partial<Record<keyof TarEntry, unknown>> = {}, content = ""): Buffer {
  const type = path.endsWith("/") ? 0o755 : 0o644;
  const header = { ...plainTarEntry({ path, mode: type, size: content.length }, 1000), ...changes } as TarEntry;
  return Buffer.concat([encodeTarHeader(header), Buffer.from(content), Buffer.alloc(tarPaddingBytes(content.length))]);
}

function unpack(parts: readonly Uint8Array[], plan: CopyPlan = { directory: target }): void {
  const unpacker = new Unpacker(plan);
  try {
    for (const part of parts) unpacker.push(part);
    unpacker.push(TAR_END);
    unpacker.end();
  } finally {
    unpacker.close();
  }
}

const symlink = (path: string, linkPath: string) => entry(path, { type: "symlink", linkPath });
const hardlink = (path: string, linkPath: string) => entry(path, { type: "hardlink", linkPath });

test("a tree comes back as it was packed: modes, times, links, names that are no UTF-8", async () => {
  const source = join(folder, "source");
  mkdirSync(join(source, "sub/empty"), { recursive: true, mode: 0o750 });
  writeFileSync(join(source, "sub/file"), "content", { mode: 0o4711 });
  writeFileSync(join(source, "ü"), Buffer.alloc(600_000, 7));
  symlinkSync("../nowhere", join(source, "sub/link"));
  utimesSync(join(source, "sub"), 5000, 5000);
  utimesSync(join(source, "sub/file"), 6000, 6000);
  const chunks: Uint8Array[] = [];
  for await (const chunk of packTree({ path: source, exists: true, isDirectory: true, rebaseName: "" }))
    chunks.push(new Uint8Array(chunk)); // it is good until the next is asked for
  const packed = Buffer.concat(chunks);
  unpack([packed.subarray(0, packed.length - TAR_END.length)], {
    directory: target,
    rename: { from: "source", to: "copy" },
  });
  const copy = join(target, "copy");
  expect(readdirSync(copy, { recursive: true }).sort()).toEqual(readdirSync(source, { recursive: true }).sort());
  for (const path of ["sub", "sub/empty", "sub/file", "ü"])
    expect([path, statSync(join(copy, path)).mode]).toEqual([path, statSync(join(source, path)).mode]);
  expect([statSync(join(copy, "sub")).mtimeMs, statSync(join(copy, "sub/file")).mtimeMs]).toEqual([5e6, 6e6]);
  expect(readFileSync(join(copy, "ü")).equals(Buffer.alloc(600_000, 7))).toBe(true);
  expect(readlinkSync(join(copy, "sub/link"))).toBe("../nowhere");
});

test("names of one file stay names of one file", async () => {
  unpack([entry("a", {}, "x"), hardlink("b", "a")], { directory: target, rename: { from: "a", to: "c" } });
  expect(statSync(join(target, "b")).ino).toBe(statSync(join(target, "c")).ino);
});

describe("an archive cannot reach what is outside", () => {
  beforeEach(() => {
    mkdirSync(join(folder, "outside"));
    writeFileSync(join(folder, "outside/file"), "mine");
  });
  const untouched = () => {
    expect(readdirSync(join(folder, "outside"))).toEqual(["file"]);
    expect(readFileSync(join(folder, "outside/file"), "utf8")).toBe("mine");
    expect(readdirSync(folder).sort()).toEqual(["outside", "target"]);
  };

  test.each<[what: string, error: string, parts: Buffer[]]>([
    ["..", "is outside of", [entry("../outside/file", {}, "evil")]],
    [".. after a name", "is outside of", [entry("a/../../x", {}, "evil")]],
    [
      "through a symlink it made",
      "a symlink or file is in the way",
      [symlink("l", "../outside"), entry("l/file", {}, "e")],
    ],
    [
      "through a deeper symlink",
      "in the way",
      [entry("d/"), symlink("d/l", "../../outside"), entry("d/l/x/y", {}, "e")],
    ],
    ["a hard link to ..", "is outside of", [hardlink("h", "../outside/file")]],
    ["a hard link through a symlink", "in the way", [symlink("l", "../outside"), hardlink("h", "l/file")]],
    ["a directory over a symlink", "cannot overwrite non-directory", [symlink("l", "../outside"), entry("l/")]],
  ])("%s", (_what, error, parts) => {
    expect(() => unpack(parts)).toThrow(error);
    untouched();
  });

  test("a file over a symlink replaces the symlink", () => {
    unpack([symlink("l", "../outside/file"), entry("l", {}, "new")]);
    untouched();
    expect(lstatSync(join(target, "l")).isFile()).toBe(true);
  });

  test("an absolute name is below the directory", () => {
    unpack([entry("/etc/x", {}, "e")]);
    untouched();
    expect(existsSync(join(target, "etc/x"))).toBe(true);
  });

  test("a symlink that was there is not followed", () => {
    symlinkSync("../outside", join(target, "l"));
    expect(() => unpack([entry("l/file", {}, "e")])).toThrow("in the way");
    untouched();
  });
});

test("a directory is not replaced by a file", () => {
  mkdirSync(join(target, "d"));
  expect(() => unpack([entry("d", {}, "x")])).toThrow("cannot overwrite directory");
});

test("a malformed archive is an error, and no fd stays open", () => {
  const open = () => readdirSync("/proc/self/fd").length;
  const before = open();
  expect(() => unpack([Buffer.alloc(512, 1)])).toThrow("tar archive");
  expect(() => unpack([entry("a/b/c", {}, "x").subarray(0, 600)])).toThrow();
  expect(open()).toBe(before);
});

test("a name with too many directories is refused", () => {
  expect(() => unpack([entry(`${"d/".repeat(400)}x`, {}, "e")])).toThrow("more than");
});
