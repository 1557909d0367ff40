import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measureTree } from "./measure-tree.ts";
import { removeTreeAt } from "./remove-tree.ts";
import { AT_FDCWD } from "./sys/abi.ts";
import { bytePath, O_DIRECTORY, O_RDONLY, openat, tryMkdirat } from "./sys/fs.ts";

let directory = "";
let fd = -1;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lighter-tree-"));
  fd = openat(AT_FDCWD, bytePath(directory), O_RDONLY | O_DIRECTORY);
});

afterEach(() => {
  removeTreeAt(fd, "tree");
  closeSync(fd);
  rmSync(directory, { recursive: true });
});

/** A chain of directories of which no path is short enough for the kernel, with a file of 5 bytes in the last. */
function makeDeep(depth: number): void {
  let at = openat(fd, "tree", O_RDONLY | O_DIRECTORY);
  for (let level = 0; level < depth; level++) {
    expect(tryMkdirat(at, "a long name of a directory", 0o755)).toBe(0);
    const next = openat(at, "a long name of a directory", O_RDONLY | O_DIRECTORY);
    closeSync(at);
    at = next;
  }
  writeFileSync(`/proc/self/fd/${at}/file`, "bytes");
  closeSync(at);
}

test("a tree of any depth is measured and removed", () => {
  mkdirSync(join(directory, "tree/beside"), { recursive: true });
  writeFileSync(join(directory, "tree/beside/file"), "more");
  makeDeep(400);
  expect(measureTree(join(directory, "tree")).bytes).toBe(9);
  removeTreeAt(fd, "tree");
  expect(readdirSync(directory)).toEqual([]);
});

test("what symlinks lead to is neither measured nor removed", () => {
  mkdirSync(join(directory, "tree/in"), { recursive: true });
  mkdirSync(join(directory, "other"));
  writeFileSync(join(directory, "other/file"), "kept");
  symlinkSync("../../other", join(directory, "tree/in/link"));
  symlinkSync("../other", join(directory, "tree/link"));
  expect(measureTree(join(directory, "tree")).bytes).toBe(0);
  symlinkSync("other", join(directory, "root"));
  expect(measureTree(join(directory, "root")).bytes).toBe(0);
  removeTreeAt(fd, "tree");
  removeTreeAt(fd, "root");
  expect(existsSync(join(directory, "other/file"))).toBe(true);
});

test("a directory of many files, a single file and nothing at all are removed", () => {
  mkdirSync(join(directory, "tree"));
  const name = "x".repeat(240); // a few hundred of them are more than what is read at a time
  for (let index = 0; index < 600; index++) writeFileSync(join(directory, `tree/${name}${index}`), "");
  writeFileSync(join(directory, "single"), "");
  let beats = 0;
  removeTreeAt(fd, "tree", () => beats++);
  expect(beats).toBeGreaterThanOrEqual(600);
  removeTreeAt(fd, "single");
  removeTreeAt(fd, "missing");
  expect(readdirSync(directory)).toEqual([]);
});
