/** The facts about the host that compiling a start needs. */
import { readFileSync, statSync } from "node:fs";
import type { CgroupHost } from "../linux/cgroup/mod.ts";
import type { Rights } from "../linux/rights.ts";

/** The facts about this host that compiling needs. A value, so that golden tests pass their own. */
export interface HostFacts {
  cgroups: CgroupHost;
  /** The type of a bind source; symlinks are followed. "missing" lets the kernel report it at the start. */
  kindOf(path: string): "directory" | "file" | "missing";
  /** An empty directory of the host, on which each container mounts its root inside its own mount namespace. */
  rootMountpoint: string;
  /** What this process may do; undefined: all that the host's root may. */
  rights?: Rights;
  /** Reads a small file of /proc or /sys; undefined if there is none. Asked only for files that a config makes necessary. */
  readText?(path: string): string | undefined;
  /** The number of the namespace to which a file leads; undefined if there is none. */
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

/** The number of a namespace: of /proc/PID/ns/…, or of a file to which it is bound (`ip netns`). Both have it as inode number. */
function namespaceId(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}
