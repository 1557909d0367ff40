import { expect, test } from "bun:test";
import { PLAIN_HYBRID, readFrom, SYSTEMD_V1, UNIFIED } from "../../../tests/support/cgroup-hosts.ts";
import { delegatedPaths } from "./delegate.ts";
import { detectCgroupHost } from "./host.ts";

const delegated = (files: typeof UNIFIED, listed?: string) =>
  delegatedPaths(detectCgroupHost(readFrom(files)), "/a/b", () => listed);

test("on v2 a cgroup is given away with the files that the kernel lists, and no path of another's", () => {
  const paths = (...names: string[]) => ["", ...names].map((name) => `/sys/fs/cgroup/a/b${name && `/${name}`}`);
  expect(delegated(UNIFIED, "cgroup.procs\ncgroup.threads\nmemory.reclaim\n../../x\n")).toEqual(
    paths("cgroup.procs", "cgroup.threads", "memory.reclaim"),
  );
  expect(delegated(UNIFIED)).toEqual(paths("cgroup.procs", "cgroup.subtree_control", "cgroup.threads"));
});

test("of v1 only what has no controllers is given away", () => {
  expect(delegated(SYSTEMD_V1)).toEqual(["/sys/fs/cgroup/systemd/a/b", "/sys/fs/cgroup/systemd/a/b/cgroup.procs"]);
  expect(delegated(PLAIN_HYBRID, "cgroup.procs").filter((path) => /memory|cpu|pids/.test(path))).toEqual([]);
});
