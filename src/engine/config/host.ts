/** What the translation knows of the host. Values and one small interface: nothing in this folder reads a file. */

import type { Capability } from "../../linux/capability/mod.ts";
import type { Rights } from "../../linux/rights.ts";

/**
 * The facts about the host, read once at daemon start (`readHostFacts` in ../host-facts.ts, `setUpAppArmor` in ../apparmor.ts).
 */
export interface HostFacts {
  hostname: string;
  /** The architecture, as Go and Docker spell it. */
  arch: "amd64" | "arm64";
  /** The version that `uname -r` prints. */
  kernelVersion: string;
  /** CPUs that containers may use, as a list: "0-3,7". */
  cpus: string;
  /** NUMA memory nodes, as a list. */
  memoryNodes: string;
  cgroup: CgroupFeatures;
  /** The capabilities that the daemon may hand on: its own bounding set, "CAP_…", in the kernel's order. */
  capabilities: readonly Capability[];
  /** What the daemon may do itself. */
  rights: Rights;
  seLinux: boolean;
  /**
   * The state of AppArmor; undefined if the kernel has none. `problem`: why a container that names no profile runs without one.
   */
  appArmor: { problem?: string } | undefined;
  /** True if the kernel has time namespaces (CONFIG_TIME_NS, Linux 5.6). */
  timeNamespaces: boolean;
  /** CPUs with a thermal_throttle directory in /sys, which shows the host's load and so is masked. */
  thermalThrottleCpus: readonly number[];
}

/** The limits that this kernel's cgroups have. Names as in Docker's `info`. */
export interface CgroupFeatures {
  mode: "unified" | "legacy" | "hybrid";
  memoryLimit: boolean;
  memoryReservation: boolean;
  swapLimit: boolean;
  /** True on cgroup v1 alone, as is the next. */
  memorySwappiness: boolean;
  oomKillDisable: boolean;
  pidsLimit: boolean;
  cpuShares: boolean;
  /** True if CPU time can be limited by quota and period. */
  cpuCfs: boolean;
  /** True with CONFIG_RT_GROUP_SCHED, on cgroup v1 alone. */
  cpuRealtime: boolean;
  cpuset: boolean;
  blkioWeight: boolean;
  blkioWeightDevice: boolean;
  /** True if there are the four I/O throttles: kernels have all of them or none. */
  blkioThrottle: boolean;
}

export interface HostFile {
  type: "file" | "directory" | "character" | "block" | "other";
}

export interface HostDevice {
  path: string;
  type: "c" | "b";
  major: number;
  minor: number;
  /** The permission bits alone. */
  mode: number;
  uid: number;
  gid: number;
}

/** Questions about host paths, asked while a container is created or started. */
export interface HostProbe {
  /** Returns the type of the file at a path, by stat(2), links followed; undefined if there is nothing. */
  fileType(path: string): HostFile["type"] | undefined;
  /**
   * Returns the type of what is at a path below a directory, without ever leaving the directory; undefined if there is nothing.
   * @throws LighterError "invalid" if the path leads out.
   */
  fileTypeBeneath(directory: string, path: string): "directory" | "file" | undefined;
  /** Returns the device node at a path, links followed (`path` is then the target's); undefined if it is none. */
  device(path: string): HostDevice | undefined;
  /**
   * Lists device nodes below a directory, on its file system, links not followed, in order of their names; a missing directory has
   * none.
   */
  devicesBelow(directory: string): HostDevice[];
  /** Tells how mounts propagate at the mount that holds this path (proc_pid_mountinfo(5): "shared:", "master:"). */
  propagation(path: string): { mountPoint: string; shared: boolean; slave: boolean };
}
