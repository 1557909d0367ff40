/**
 * What this process may do. Root of the host may do all of it; root of a user namespace, in a machine or rootless, lacks what the
 * kernel cannot confine to a namespace. Whoever does such a thing asks here first, and nowhere else.
 */
import { readFileSync } from "node:fs";

export interface Rights {
  /** True in a user namespace other than the kernel's first. */
  inUserNamespace: boolean;
  /** How many user and group ids there are, in one piece from 0 on. */
  uids: number;
  gids: number;
  /** Filters of devices on cgroup v2: programs for bpf(2). Without them only nodes that exist, and are bound, can be opened. */
  deviceFilters: boolean;
  /** mknod(2) of devices; where it is refused, nodes of this host are bound. Whiteouts (0:0) are no devices (Linux 5.8). */
  deviceNodes: boolean;
  /** Mounts that map owners, of file systems that are not its own: containers cannot have ids of their own without (Linux 5.12). */
  idmappedMounts: boolean;
  /** The attributes by which overlays remember things, trusted.overlay.* or user.overlay.* (Linux 5.11). */
  overlayAttributes: "trusted" | "user";
  /** Profiles of AppArmor: they are the kernel's. */
  appArmorProfiles: boolean;
  /** The least oom_score_adj that it may give a process. */
  oomScoreMin: number;
}

type ReadText = (path: string) => string | undefined;

/** The number of ids without a namespace: 2^32 - 1 is none. */
const ALL_IDS = 2 ** 32 - 1;

/**
 * Finds them out. Pure, apart from `read`.
 * Sources: user_namespaces(7), proc_pid_oom_score_adj(5), overlayfs.rst ("userxattr"), what the kernel checks by capable().
 */
export function readRights(read: ReadText): Rights {
  const [uids, gids] = ["uid", "gid"].map((kind) => countIds(read(`/proc/self/${kind}_map`)));
  const inUserNamespace = isUserNamespace(read);
  return {
    inUserNamespace,
    uids: uids!,
    gids: gids!,
    deviceFilters: !inUserNamespace,
    deviceNodes: !inUserNamespace,
    idmappedMounts: !inUserNamespace,
    overlayAttributes: inUserNamespace ? "user" : "trusted",
    appArmorProfiles: !inUserNamespace,
    oomScoreMin: inUserNamespace ? Number(read("/proc/self/oom_score_adj") ?? 0) : -1000,
  };
}

/** Whether this is a user namespace in which not every id is the host's. */
export function isUserNamespace(read: ReadText): boolean {
  const map = read("/proc/self/uid_map");
  return map !== undefined && rangesIn(map).every(({ outside, count }) => outside !== 0 || count !== ALL_IDS);
}

function countIds(map: string | undefined): number {
  if (map === undefined) return ALL_IDS;
  let end = 0;
  for (const { inside, count } of rangesIn(map).sort((a, b) => a.inside - b.inside)) if (inside === end) end += count;
  return end;
}

/** The lines of a uid_map or gid_map. Source: user_namespaces(7). */
function rangesIn(map: string): { inside: number; outside: number; count: number }[] {
  const lines = map.matchAll(/^\s*(\d+)\s+(\d+)\s+(\d+)\s*$/gm);
  return [...lines].map(([, inside, outside, count]) => ({
    inside: Number(inside),
    outside: Number(outside),
    count: Number(count),
  }));
}

let own: Rights | undefined;

/** Returns the rights of this process, which never change. */
export function ownRights(): Rights {
  own ??= readRights((path) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined; // a kernel without user namespaces
    }
  });
  return own;
}
