import { expect, test } from "bun:test";
import type { ExplainedOp } from "../../spec/explanation.ts";
import { foldOps, foldTexts } from "./fold.ts";

function opsOf(
  ...rows: readonly [call: string, args: string, why: string, more?: Partial<ExplainedOp>][]
): ExplainedOp[] {
  return rows.map(([call, args, why, more], index) => ({
    ...{ index, section: "init", phase: "mounts", call, args, why },
    ...more,
  }));
}

const stepsOf = (ops: readonly ExplainedOp[]) => foldOps(ops, 40).map(({ why, what, count }) => [count, why, what]);

test.each([
  [["same", "same"], "same"],
  [["/sys/cpu/x", "/sys/memory/x"], "/sys/{cpu,memory}/x"],
  [["/a/cpu@cgroup/t", "/a/cpuacct@cgroup/t"], "/a/{cpu,cpuacct}@cgroup/t"],
  [["one", "other"], "{one,other}"],
  [["a (b 1 m)", "a (c 1 m)", "a (a)"], "a ({b 1 m,c 1 m,a})"],
  [["x", "x y"], "{x,x y}"],
  [["", "x"], "{,x}"],
])("foldTexts(%j)", (texts, folded) => {
  expect(foldTexts(texts, 40)).toBe(folded);
});

test("a long list ends early, with at least one", () => {
  expect(foldTexts(["/x/aaaa", "/x/bbbb", "/x/cccc"], 10)).toBe("/x/{aaaa,bbbb,…}");
  expect(foldTexts(["/x/aaaa", "/x/bbbb"], 1)).toBe("/x/{aaaa,…}");
});

test("what has one reason is one step, also where one op says more", () => {
  const ops = opsOf(
    ["fsopen", "proc 1", "mounts[0] on /proc", { out: "fs" }],
    ["fsmount", "$fs 1", "mounts[0] on /proc"],
    ["mount_setattr", "$m", "mounts[0] on /proc: read-only"],
    ["fsopen", "tmpfs 1", "mounts[1] on /run"],
  );
  expect(stepsOf(ops)).toEqual([
    [1, "mounts[0] on /proc", "fsopen, fsmount, mount_setattr"],
    [1, "mounts[1] on /run", "fsopen tmpfs 1"],
  ]);
});

test("the same for several paths is one step, something else in between is not", () => {
  const masked = (path: string) =>
    opsOf(["openat2", `$root ${path}`, `masked: ${path}`], ["move_mount", "$x", `masked: ${path}`]);
  const ops = [
    ...masked("/proc/a"),
    ...masked("/proc/b"),
    ...opsOf(["chdir", "/", "stand on /"]),
    ...masked("/proc/c"),
  ];
  expect(stepsOf(ops)).toEqual([
    [2, "masked: /proc/{a,b}", "(openat2, move_mount) ×2"],
    [1, "stand on /", "chdir /"],
    [1, "masked: /proc/c", "openat2, move_mount"],
  ]);
});

test("steps end where the phase or the player changes", () => {
  const ops = opsOf(
    ["close", "$a", "done"],
    ["close", "$b", "done"],
    ["close", "$c", "done", { phase: "root" }],
    ["close", "$d", "done", { phase: "root", section: "cleanup" }],
  );
  expect(stepsOf(ops)).toEqual([
    [1, "done", "close ×2 {$a,$b}"],
    [1, "done", "close $c"],
    [1, "done", "close $d"],
  ]);
});

test("a working directory that does not matter is left out", () => {
  expect(stepsOf(opsOf(["openat", "AT_FDCWD /dev/null 0", "null", { out: "n" }]))).toEqual([
    [1, "null", "openat /dev/null 0 -> $n"],
  ]);
});
