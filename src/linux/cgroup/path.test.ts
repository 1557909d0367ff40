import { expect, test } from "bun:test";
import { PLAIN_HYBRID, readFrom, UNIFIED } from "../../../tests/support/cgroup-hosts.ts";
import { detectCgroupHost } from "./host.ts";
import { effectiveCgroupsPath } from "./path.ts";

const hybrid = detectCgroupHost(readFrom(PLAIN_HYBRID));
const unifiedAt = (own: string) => detectCgroupHost(readFrom({ ...UNIFIED, "/proc/self/cgroup": `0::${own}\n` }));

test("effectiveCgroupsPath takes an absolute path from the top, and lets none lead above it", () => {
  for (const host of [hybrid, unifiedAt("/user.slice/session-1.scope")]) {
    expect(effectiveCgroupsPath(host, "/default/c1", "c1")).toBe("/default/c1");
    expect(effectiveCgroupsPath(host, "//a/./b//c/", "c1")).toBe("/a/b/c");
    expect(effectiveCgroupsPath(host, "/../../a/../../b", "c1")).toBe("/b");
  }
});

test("effectiveCgroupsPath without a path is named after the container, and a relative one starts at the same place", () => {
  expect(effectiveCgroupsPath(hybrid, undefined, "c1")).toBe("/c1");
  expect(effectiveCgroupsPath(hybrid, "", "c1")).toBe("/c1");
  expect(effectiveCgroupsPath(hybrid, "a/b", "c1")).toBe("/a/b");
  expect(effectiveCgroupsPath(hybrid, "../../a", "c1")).toBe("/a");
});

test("effectiveCgroupsPath on v2 puts a relative path beside the caller's cgroup, which has processes", () => {
  const at = (own: string, path?: string) => effectiveCgroupsPath(unifiedAt(own), path, "c1");
  expect(at("/user.slice/user-0.slice/session-1.scope")).toBe("/user.slice/user-0.slice/c1");
  expect(at("/user.slice/user-0.slice/session-1.scope", "../a")).toBe("/user.slice/user-0.slice/a");
  expect(at("/a")).toBe("/c1");
  expect(at("/")).toBe("/c1");
  expect(at("/../other")).toBe("/c1");
});
