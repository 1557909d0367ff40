import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { evalSymlinks } from "./eval-symlinks.ts";

let folder: string;

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "lighter-links-")));
  mkdirSync(join(folder, "a/b"), { recursive: true });
  writeFileSync(join(folder, "a/file"), "");
  for (const [name, target] of [
    ["to-a", "a"],
    ["a/up", "../to-a/b"],
    ["absolute", join(folder, "to-a")],
    ["broken", "no/where"],
    ["loop", "loop"],
  ] as const)
    symlinkSync(target, join(folder, name));
});

afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ["", ""],
  ["/a/", "/a"],
  ["/to-a/b/.", "/a/b"],
  ["/a/up", "/a/b"],
  ["/absolute/up/../file", "/a/file"],
])("%p leads to %p", (path, resolved) => {
  expect(evalSymlinks(folder + path)).toBe(folder + resolved);
});

test("above the root is the root", () => {
  expect(evalSymlinks("/../..//.")).toBe("/");
});

test.each([
  ["/a/none/x", "lstat FOLDER/a/none: no such file or directory"],
  ["/broken", "lstat FOLDER/no: no such file or directory"],
  ["/a/file/", "not a directory"],
  ["/loop", "EvalSymlinks: too many links"],
])("%p: %s", (path, error) => {
  expect(() => evalSymlinks(folder + path)).toThrow(error.replace("FOLDER", folder));
});
