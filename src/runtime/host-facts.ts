import { readFileSync, statSync } from "node:fs";
import type { CgroupHost } from "../linux/cgroup/mod.ts";

/** What compiling needs to know of this host. A value, so that golden tests pass their own. */
export interface HostFacts {
  cgroups: CgroupHost;
  /** What a bind source is; symlinks followed. "missing" lets the kernel say so at the start. */
  kindOf(path: string): "directory" | "file" | "missing";
  /** Host directory, empty, on which each container mounts its root inside its own mount namespace. */
  rootMountpoint: string;
  /** A small file of /proc or /sys; undefined where there is none. Asked only for what a config mentions. */
  readText?(path: string): string | undefined;
  /** The number of the namespace behind a file; undefined where there is none. */
  namespaceId?(path: string): number | undefined;
}

export const LIVE_FACTS = { kindOf, readText, namespaceId } as const satisfies Partial<HostFacts>;

function kindOf(path: string): "directory" | "file" | "missing" {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? "missing" : stats.isDirectory() ? "directory" : "file";
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Of /proc/PID/ns/…, and of a file that a namespace is bound to (`ip netns`): the number is the inode's of both. */
function namespaceId(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}
