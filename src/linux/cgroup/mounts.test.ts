import { expect, test } from "bun:test";
import { PLAIN_HYBRID, readFrom, SYSTEMD_V1, UNIFIED } from "../../../tests/support/cgroup-hosts.ts";
import { detectCgroupHost } from "./host.ts";
import type { CgroupMount } from "./mounts.ts";
import { cgroupMounts } from "./mounts.ts";

function line(mount: CgroupMount): string {
  if (mount.kind === "symlink") return `${mount.target} -> ${mount.text}`;
  if (mount.kind === "bind") return `bind ${mount.source} ${mount.target}`;
  const parameters = mount.parameters.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`));
  return [mount.kind, mount.target, ...parameters].join(" ");
}

const linesOf = (files: typeof UNIFIED, hasNamespace: boolean): string[] =>
  cgroupMounts(detectCgroupHost(readFrom(files)), "/lighter/a", hasNamespace).map(line);

test("cgroupMounts on v2 is one mount", () => {
  expect(linesOf(UNIFIED, true)).toEqual(["cgroup2 /sys/fs/cgroup"]);
  expect(linesOf(UNIFIED, false)).toEqual(["bind /sys/fs/cgroup /sys/fs/cgroup"]);
});

test("cgroupMounts on v1 mounts each hierarchy afresh in a cgroup namespace", () => {
  expect(linesOf(SYSTEMD_V1, true)).toEqual([
    "tmpfs /sys/fs/cgroup mode=755",
    "cgroup /sys/fs/cgroup/systemd none xattr name=systemd",
    "cgroup /sys/fs/cgroup/net_cls,net_prio net_cls net_prio",
    "/sys/fs/cgroup/net_cls -> net_cls,net_prio",
    "/sys/fs/cgroup/net_prio -> net_cls,net_prio",
    "cgroup /sys/fs/cgroup/cpu,cpuacct cpu cpuacct",
    "/sys/fs/cgroup/cpu -> cpu,cpuacct",
    "/sys/fs/cgroup/cpuacct -> cpu,cpuacct",
    "cgroup /sys/fs/cgroup/memory memory",
    "cgroup /sys/fs/cgroup/pids pids",
    "cgroup /sys/fs/cgroup/cpuset cpuset",
    "cgroup /sys/fs/cgroup/blkio blkio",
    "cgroup /sys/fs/cgroup/devices devices",
    "cgroup /sys/fs/cgroup/perf_event perf_event",
    "cgroup /sys/fs/cgroup/hugetlb hugetlb",
    "cgroup /sys/fs/cgroup/freezer freezer",
  ]);
});

test("cgroupMounts on v1 without a cgroup namespace binds the cgroup's own directories", () => {
  const lines = linesOf(PLAIN_HYBRID, false);
  expect(lines[1]).toBe("bind /sys/fs/cgroup/cpu/lighter/a /sys/fs/cgroup/cpu");
  expect(lines.at(-1)).toBe("bind /sys/fs/cgroup/unified/lighter/a /sys/fs/cgroup/unified");
  expect(lines).toHaveLength(11);
});
