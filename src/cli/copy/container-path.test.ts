import { describe, expect, test } from "bun:test";
import {
  baseName,
  type CopyEnd,
  cleanPath,
  keepEnding,
  planCopy,
  rebase,
  renameEntry,
  splitContainerPath,
  splitPath,
} from "./container-path.ts";

test.each([
  ["web:/etc", "web", "/etc"],
  ["web:etc:x", "web", "etc:x"],
  ["web:", "web", ""],
  ["/a:b", "", "/a:b"],
  ["./a:b", "", "./a:b"],
  ["../a:b", "", "../a:b"],
  ["a", "", "a"],
  ["-", "", "-"],
])("splitContainerPath(%p)", (argument, container, path) => {
  expect(splitContainerPath(argument)).toEqual({ container, path });
});

test.each([
  ["", ".", ".", ".", "."],
  [".", ".", ".", ".", "."],
  ["/", "/", "/", "/", "/"],
  ["a", "a", "a", ".", "a"],
  ["a/", "a", "a", ".", "a"],
  ["/a/", "/a", "a", "/", "a"],
  ["/a/.", "/a", ".", "/a", "."],
  ["/a/./", "/a", ".", "/a", "."],
  ["a//b/../c", "a/c", "c", "a", "c"],
  ["..", "..", "..", ".", ".."],
])("%p cleaned, its base, and its two parts", (path, clean, base, directory, last) => {
  expect([cleanPath(path), baseName(path)]).toEqual([clean, base]);
  if (path !== "" && path !== ".") expect(splitPath(path)).toEqual({ directory, base: last });
});

test.each([
  ["/w/a", "a", "/w/a"],
  ["/w/a", "a/", "/w/a/"],
  ["/w/a", "a/.", "/w/a/."],
  ["/w", ".", "/w/."],
  ["/", "/", "/"],
  ["/", "/.", "/."],
  ["/w/a", "a/./", "/w/a/./"],
])("keepEnding(%p, %p)", (clean, original, kept) => {
  expect(keepEnding(clean, original)).toBe(kept);
});

test.each([
  ["/link", "/target", "/target", "link"],
  ["/link/", "/target", "/target/", "link"],
  ["/link/.", "/target", "/target/.", ""],
  ["/a/x", "/b/x", "/b/x", ""],
])("rebase(%p, %p)", (path, resolved, kept, rebaseName) => {
  expect(rebase(path, resolved)).toEqual({ path: kept, rebaseName });
});

describe("planCopy", () => {
  const file = (path: string, rebaseName = ""): CopyEnd => ({ path, exists: true, isDirectory: false, rebaseName });
  const directory = (path: string, rebaseName = ""): CopyEnd => ({ path, exists: true, isDirectory: true, rebaseName });
  const missing = (path: string): CopyEnd => ({ path, exists: false, isDirectory: false, rebaseName: "" });

  test.each<[what: string, source: CopyEnd, destination: CopyEnd, plan: ReturnType<typeof planCopy>]>([
    ["a file into a directory", file("/s/a"), directory("/d"), { directory: "/d" }],
    ["a file over a file", file("/s/a"), file("/d/b"), { directory: "/d", rename: { from: "a", to: "b" } }],
    ["a file to a new name", file("/s/a"), missing("/d/b"), { directory: "/d", rename: { from: "a", to: "b" } }],
    ["a directory into a directory", directory("/s/a"), directory("/d"), { directory: "/d" }],
    [
      "a directory to a new name",
      directory("/s/a"),
      missing("/d/b/"),
      { directory: "/d", rename: { from: "a", to: "b" } },
    ],
    [
      "what is in a directory to a new one",
      directory("/s/."),
      missing("/d/b"),
      { directory: "/d", rename: { from: ".", to: "b" } },
    ],
    ["a link's file", file("/s/a", "l"), missing("/d/b"), { directory: "/d", rename: { from: "l", to: "b" } }],
  ])("%s", (_what, source, destination, plan) => {
    expect(planCopy(source, destination)).toEqual(plan);
  });

  test.each([
    ["cannot copy directory", directory("/s/a"), file("/d/b")],
    ["no such directory", file("/s/a"), missing("/d/b/")],
    ["no such directory", file("/s/a"), missing("/d/b/.")],
  ])("%s", (error, source, destination) => {
    expect(() => planCopy(source, destination)).toThrow(error);
  });
});

test.each([
  ["a/x/a", "a", "b", "b/x/a"],
  ["./x", ".", "b", "b/x"],
  ["/etc", "/", "b", "b/etc"],
  ["a", "a", "$&", "$&"],
])("renameEntry(%p) from %p to %p", (name, from, to, renamed) => {
  expect(renameEntry(name, { from, to })).toBe(renamed);
});
