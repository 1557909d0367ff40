import { expect, test } from "bun:test";
import { decodeGoMode, encodeGoMode } from "./go-file-mode.ts";

test.each([
  ["file", 0o644, 0o644],
  ["directory", 0o755, 2 ** 31 + 0o755],
  ["directory", 0o1777, 2 ** 31 + 2 ** 20 + 0o777],
  ["symlink", 0o777, 2 ** 27 + 0o777],
  ["char", 0o600, 2 ** 26 + 2 ** 21 + 0o600],
  ["block", 0o600, 2 ** 26 + 0o600],
  ["fifo", 0o600, 2 ** 25 + 0o600],
  ["file", 0o6755, 2 ** 23 + 2 ** 22 + 0o755],
] as const)("a %s with %o", (type, permissions, mode) => {
  expect(encodeGoMode(type, permissions)).toBe(mode);
  expect(decodeGoMode(mode)).toEqual({ type, permissions });
});

test("a socket has no type here; a hard link has that of a file", () => {
  expect(decodeGoMode(2 ** 24 + 0o755)).toEqual({ type: undefined, permissions: 0o755 });
  expect(encodeGoMode("hardlink", 0o644)).toBe(0o644);
});
