/** The cgroup files of several kinds of hosts, for tests without a kernel. */
import type { ReadText } from "../../src/linux/cgroup/host.ts";

/** The files that `detectCgroupHost` reads, as found on five kinds of hosts. */
export type HostFiles = Record<string, string>;

export function readFrom(files: HostFiles): ReadText {
  return (path) => files[path];
}

const FIRST_MOUNTS = `22 27 0:21 / /proc rw,relatime - proc proc rw
23 27 0:22 / /sys rw,relatime - sysfs sysfs rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resv_strict,resuid=65534,resgid=65534
`;

/**
 * Linux 6.18 in a small virtual machine without systemd: each hierarchy has one controller, and v2 has those that v1 does not
 * use.
 */
export const PLAIN_HYBRID: HostFiles = {
  "/proc/self/mountinfo": `${FIRST_MOUNTS}31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`,
  // Hierarchy 10 is mounted nowhere.
  "/proc/self/cgroup": `10:name=lighter:/
9:name=systemd:/
8:pids:/
7:blkio:/
6:freezer:/
5:devices:/
4:memory:/process_api/b3ba86a96c7acced13a5da455e29b752
3:cpuset:/
2:cpuacct:/
1:cpu:/
0::/
`,
  "/sys/fs/cgroup/unified/cgroup.controllers": "hugetlb\n",
  "/sys/fs/cgroup/cpuset/cpuset.cpus": "0-1\n",
  "/sys/fs/cgroup/cpuset/cpuset.mems": "0\n",
};

/** Linux 7.3, v2 alone. */
export const UNIFIED: HostFiles = {
  "/proc/self/mountinfo": `${FIRST_MOUNTS}40 31 0:33 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`,
  "/proc/self/cgroup": "0::/\n",
  "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids rdma misc\n",
};

const SYSTEMD_V1_MOUNTS = `25 19 0:21 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,seclabel,mode=755
26 25 0:22 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:10 - cgroup cgroup rw,seclabel,xattr,release_agent=/usr/lib/systemd/systemd-cgroups-agent,name=systemd
30 25 0:26 / /sys/fs/cgroup/net_cls,net_prio rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,seclabel,net_cls,net_prio
31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,seclabel,cpu,cpuacct
32 25 0:28 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:17 - cgroup cgroup rw,seclabel,memory
33 25 0:29 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime shared:18 - cgroup cgroup rw,seclabel,pids
34 25 0:30 / /sys/fs/cgroup/cpuset rw,nosuid,nodev,noexec,relatime shared:19 - cgroup cgroup rw,seclabel,cpuset
35 25 0:31 / /sys/fs/cgroup/blkio rw,nosuid,nodev,noexec,relatime shared:20 - cgroup cgroup rw,seclabel,blkio
36 25 0:32 / /sys/fs/cgroup/devices rw,nosuid,nodev,noexec,relatime shared:21 - cgroup cgroup rw,seclabel,devices
37 25 0:33 / /sys/fs/cgroup/perf_event rw,nosuid,nodev,noexec,relatime shared:22 - cgroup cgroup rw,seclabel,perf_event
38 25 0:34 / /sys/fs/cgroup/hugetlb rw,nosuid,nodev,noexec,relatime shared:23 - cgroup cgroup rw,seclabel,hugetlb
39 25 0:35 / /sys/fs/cgroup/freezer rw,nosuid,nodev,noexec,relatime shared:24 - cgroup cgroup rw,seclabel,freezer
`;
const SYSTEMD_V1_CGROUP = `12:hugetlb:/
11:freezer:/
10:perf_event:/
9:devices:/system.slice
8:blkio:/system.slice
7:cpuset:/
6:pids:/system.slice/sshd.service
5:memory:/system.slice
4:cpuacct,cpu:/system.slice
3:net_prio,net_cls:/
1:name=systemd:/system.slice/sshd.service
`;

/** A distribution from the days of v1: controllers share hierarchies, SELinux adds an option, and there is no v2. */
export const SYSTEMD_V1: HostFiles = {
  "/proc/self/mountinfo": FIRST_MOUNTS + SYSTEMD_V1_MOUNTS,
  "/proc/self/cgroup": SYSTEMD_V1_CGROUP,
  "/sys/fs/cgroup/cpuset/cpuset.cpus": "0-7\n",
  "/sys/fs/cgroup/cpuset/cpuset.mems": "0-1\n",
};

/** A newer distribution with systemd.unified_cgroup_hierarchy=0: v2 exists, without controllers. */
export const SYSTEMD_HYBRID: HostFiles = {
  ...SYSTEMD_V1,
  "/proc/self/mountinfo": `${FIRST_MOUNTS}${SYSTEMD_V1_MOUNTS}27 25 0:23 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:11 - cgroup2 cgroup2 rw,seclabel,nsdelegate
`,
  "/proc/self/cgroup": `${SYSTEMD_V1_CGROUP}0::/system.slice/sshd.service\n`,
  "/sys/fs/cgroup/unified/cgroup.controllers": "\n",
};

/** A container with its own cgroup namespace; a hierarchy of the host is bound elsewhere, with a space in its path. */
export const NESTED_V2: HostFiles = {
  "/proc/self/mountinfo": `612 590 0:58 / / rw,relatime - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w
613 612 0:61 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
617 616 0:27 /../.. /mnt/my\\040host rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw
618 616 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate,memory_recursiveprot
`,
  "/proc/self/cgroup": "0::/\n",
  "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n",
  "/sys/fs/cgroup/cgroup.type": "domain\n",
};
