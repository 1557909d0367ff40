/** What the translation knows of the host. Values and one small interface: nothing in this folder reads a file. */

import type { Capability } from "../../linux/capability/mod.ts";

/** Read once at daemon start (`readHostFacts` in ../host-facts.ts, `setUpAppArmor` in ../apparmor.ts). */
export interface HostFacts {
  hostname: string;
  /** As Go and Docker spell it. */
  arch: "amd64" | "arm64";
  /** `uname -r`. */
  kernelVersion: string;
  /** CPUs that containers may use, as a list: "0-3,7". */
  cpus: string;
  /** NUMA memory nodes, as a list. */
  memoryNodes: string;
  cgroup: CgroupFeatures;
  /** What the daemon may hand on: its own bounding set, "CAP_…", in the kernel's order. */
  capabilities: readonly Capability[];
  seLinux: boolean;
  /** Undefined: the kernel has no AppArmor. `problem`: why a container that names no profile has none. */
  appArmor: { problem?: string } | undefined;
  /** CONFIG_TIME_NS, Linux 5.6. */
  timeNamespaces: boolean;
  /** CPUs with a thermal_throttle directory in /sys, which shows the host's load and so is masked. */
  thermalThrottleCpus: readonly number[];
}

/** Which limits this kernel's cgroups have. Names as in Docker's `info`. */
export interface CgroupFeatures {
  mode: "unified" | "legacy" | "hybrid";
  memoryLimit: boolean;
  memoryReservation: boolean;
  swapLimit: boolean;
  /** cgroup v1 only, as is the next. */
  memorySwappiness: boolean;
  oomKillDisable: boolean;
  pidsLimit: boolean;
  cpuShares: boolean;
  /** Quota and period. */
  cpuCfs: boolean;
  /** CONFIG_RT_GROUP_SCHED, cgroup v1 only. */
  cpuRealtime: boolean;
  cpuset: boolean;
  blkioWeight: boolean;
  blkioWeightDevice: boolean;
  /** All four throttles: kernels have all of them or none. */
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
  /** Permission bits only. */
  mode: number;
  uid: number;
  gid: number;
}

/** Questions about host paths, asked while a container is created or started. */
export interface HostProbe {
  /** stat(2), links followed; undefined if there is nothing. */
  fileType(path: string): HostFile["type"] | undefined;
  /**
   * What a path below a directory is, without leaving that for a moment; undefined if there is nothing.
   * @throws LighterError "invalid" if it leads out.
   */
  fileTypeBeneath(directory: string, path: string): "directory" | "file" | undefined;
  /** The device node at a path, links followed (`path` is then the target's); undefined if it is none. */
  device(path: string): HostDevice | undefined;
  /** Device nodes below a directory, links not followed, in order of their names; a missing directory has none. */
  devicesBelow(directory: string): HostDevice[];
  /** How mounts propagate at the mount that holds this path (proc_pid_mountinfo(5): "shared:", "master:"). */
  propagation(path: string): { mountPoint: string; shared: boolean; slave: boolean };
}
