import { afterEach, beforeEach, expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testIf } from "../../../tests/support/test-if.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import { bytePath, fsetxattr, makeDevice, O_DIRECTORY, O_RDONLY, openat, tryMknodat } from "../../linux/sys/fs.ts";
import { copyDirectoryFromLayers } from "./copy-directory.ts";

const rooted = testIf(process.getuid?.() === 0, "needs root");

let directory: string;
let top: string;
let low: string;
let target: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lighter-copy-"));
  [top, low, target] = ["top", "low", "target"].map((name) => join(directory, name)) as [string, string, string];
  for (const path of [top, low, target]) mkdirSync(path);
});

afterEach(() => rmSync(directory, { recursive: true }));

const copy = (path: string) => copyDirectoryFromLayers([top, low], path, target);
const S_IFCHR = 0o020000;

rooted("a directory is copied with owners, modes, times and links, as the layers show it", async () => {
  mkdirSync(join(low, "data/sub"), { recursive: true });
  mkdirSync(join(top, "data"));
  writeFileSync(join(low, "data/both"), "low");
  writeFileSync(join(top, "data/both"), "top");
  writeFileSync(join(low, "data/gone"), "whited out");
  tryMknodat(AT_FDCWD, bytePath(join(top, "data/gone")), S_IFCHR | 0o600, 0n);
  writeFileSync(join(low, "data/sub/file"), "x".repeat(3_000_000));
  chownSync(join(low, "data/sub/file"), 1000, 1001);
  chmodSync(join(low, "data/sub/file"), 0o4750);
  utimesSync(join(low, "data/sub/file"), 1_600_000_000, 1_600_000_000);
  symlinkSync("/etc/passwd", join(low, "data/link"));
  writeFileSync(Buffer.from(`${low}/data/\xff`, "latin1"), "bytes");
  chownSync(join(top, "data"), 999, 998);
  chmodSync(join(top, "data"), 0o1770);

  expect(await copy("/data")).toBe(true);
  expect(readdirSync(target, { encoding: "latin1" }).sort()).toEqual(["both", "link", "sub", "\xff"]);
  expect(readFileSync(join(target, "both"), "utf8")).toBe("top");
  expect(readlinkSync(join(target, "link"))).toBe("/etc/passwd");
  const file = lstatSync(join(target, "sub/file"));
  expect([file.size, file.uid, file.gid, file.mode & 0o7777, file.mtimeMs]).toEqual([
    3_000_000, 1000, 1001, 0o4750, 1_600_000_000_000,
  ]);
  const root = lstatSync(target);
  expect([root.uid, root.gid, root.mode & 0o7777]).toEqual([999, 998, 0o1770]);
});

rooted("an opaque directory hides what is below", async () => {
  mkdirSync(join(low, "data"));
  writeFileSync(join(low, "data/hidden"), "");
  mkdirSync(join(top, "data"));
  writeFileSync(join(top, "data/shown"), "");
  const fd = openat(AT_FDCWD, bytePath(join(top, "data")), O_RDONLY | O_DIRECTORY);
  fsetxattr(fd, "trusted.overlay.opaque", Buffer.from("y"), "data");
  expect(await copy("/data")).toBe(true);
  expect(readdirSync(target)).toEqual(["shown"]);
});

rooted("a symlink on the way stays inside the image", async () => {
  mkdirSync(join(low, "etc"));
  writeFileSync(join(low, "etc/inside"), "");
  symlinkSync("/etc", join(low, "data"));
  expect(await copy("/data")).toBe(true);
  expect(readdirSync(target)).toEqual(["inside"]);
});

rooted("what is no directory copies nothing", async () => {
  writeFileSync(join(low, "file"), "");
  expect(await copy("/file")).toBe(false);
  expect(await copy("/missing")).toBe(false);
  expect(readdirSync(target)).toEqual([]);
});

rooted("device nodes and fifos are made, not read", async () => {
  mkdirSync(join(low, "data"));
  tryMknodat(AT_FDCWD, bytePath(join(low, "data/null")), S_IFCHR | 0o666, makeDevice(1, 3));
  tryMknodat(AT_FDCWD, bytePath(join(low, "data/fifo")), 0o010000 | 0o600, 0n);
  expect(await copy("/data")).toBe(true);
  expect(lstatSync(join(target, "null")).rdev).toBe(lstatSync("/dev/null").rdev);
  expect(lstatSync(join(target, "fifo")).isFIFO()).toBe(true);
});
