import { expect, test } from "bun:test";
import { decodePathStat } from "./path-stat.ts";

const answer = (header: string) => ({
  head: { status: 200, headers: new Map([["x-docker-container-path-stat", header]]), raw: false },
});
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64");

test.each([
  ["a directory", 0x80000000 + 0o755, { isDirectory: true, isSymlink: false, isDevice: false }],
  ["a symlink", 0x08000000 + 0o777, { isDirectory: false, isSymlink: true, isDevice: false }],
  ["a character device", 0x04200000 + 0o666, { isDirectory: false, isSymlink: false, isDevice: true }],
  ["a file with setuid", 0x00800000 + 0o755, { isDirectory: false, isSymlink: false, isDevice: false }],
])("%s by the bits of its mode", (_what, mode, kinds) => {
  expect(decodePathStat(answer(encode({ name: "x", mode, linkTarget: "t" })))).toEqual({ ...kinds, linkTarget: "t" });
});

test.each(["", "!", encode(null), encode({}), encode({ mode: "1", linkTarget: "" }), encode({ mode: 1 })])(
  "%p is refused",
  (header) => {
    expect(() => decodePathStat(answer(header))).toThrow("unable to decode container path stat header");
  },
);
