import type { CgroupHost } from "../linux/cgroup/mod.ts";

/** What compiling needs to know of this host. A value, so that golden tests pass their own. */
export interface HostFacts {
  cgroups: CgroupHost;
  /** What a bind source is; symlinks followed. "missing" lets the kernel say so at the start. */
  kindOf(path: string): "directory" | "file" | "missing";
  /** Host directory, empty, on which each container mounts its root inside its own mount namespace. */
  rootMountpoint: string;
}
