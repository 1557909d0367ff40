import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isLocalPath } from "./local-path.ts";

const root = mkdtempSync(join(tmpdir(), "lighter-local-"));
afterAll(() => rmSync(root, { recursive: true }));

/** As if there were an NFS at "far" and one of ours at "near". */
const mounts = new Map([
  ["/", "overlay"],
  ["/proc", "proc"],
  [`${root}/far`, "nfs4"],
  [`${root}/near`, "tmpfs"],
]);

test("a path is local as long as it touches nothing of others, whatever the way", () => {
  for (const name of ["far", "near", "plain", "plain/deeper"]) mkdirSync(join(root, name));
  writeFileSync(join(root, "file"), "");
  symlinkSync("../far", join(root, "plain/relative"));
  symlinkSync(`${root}/far/deep`, join(root, "plain/absolute"));
  symlinkSync("relative", join(root, "plain/twice"));
  symlinkSync("deeper", join(root, "plain/inside"));
  symlinkSync("loop", join(root, "plain/loop"));
  const isLocal = (path: string) => isLocalPath(`${root}/${path}`, mounts);
  const far = [
    "far",
    "far/x",
    "near/../far",
    "./far/",
    "plain/relative",
    "plain/relative/x",
    "plain/absolute",
    "plain/twice",
  ];
  const near = [
    "near",
    "near/x",
    "far/../near/x",
    "plain",
    "plain/deeper/x",
    "plain/inside/x",
    "file/x",
    "nonesuch/x",
    "plain/loop",
  ];
  expect(far.filter(isLocal)).toEqual([]);
  expect(near.filter((path) => !isLocal(path))).toEqual(["far/../near/x"]); // by way of it
  expect(isLocalPath("/", mounts)).toBe(true);
  expect(isLocalPath("/", new Map([["/", "nfs"]]))).toBe(false);
});

test("what a process sees is not known to be local", () => {
  expect(isLocalPath("/proc/self/root/tmp")).toBe(false);
  expect(isLocalPath("/proc/1/cwd")).toBe(false);
  expect(isLocalPath("/proc/meminfo")).toBe(true);
});
