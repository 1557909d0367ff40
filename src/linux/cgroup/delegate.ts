/** Gives cgroups to those who may divide them further. */
import type { CgroupHost, ReadText } from "./host.ts";
import { words } from "./host.ts";
import { parseCgroupsPath } from "./path.ts";

/** What the kernel lists in newer versions was this before. Source: cgroups(7), "Cgroups delegation". */
const DELEGATED_ON_V2 = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
/** Not `tasks`, by which processes of ours join: the owner of that may be nobody to them by then. */
const DELEGATED_ON_V1 = ["cgroup.procs"];

/**
 * What belongs to whoever may divide a cgroup further, its directory first. Its limits are not among it: they stay those of
 * who made it. Of v1, only a hierarchy without controllers can be given away safely.
 * Sources: runtime-spec config-linux.md#cgroup-ownership; systemd.io/CGROUP_DELEGATION.
 */
export function delegatedPaths(host: CgroupHost, cgroupsPath: string, read: ReadText): string[] {
  const path = parseCgroupsPath(cgroupsPath).join("/");
  const below = (mountPoint: string, names: readonly string[]) => {
    const directory = `${mountPoint}/${path}`;
    return [directory, ...names.map((name) => `${directory}/${name}`)];
  };
  const listed = words(read("/sys/kernel/cgroup/delegate") ?? "").filter((name) => !name.includes("/"));
  const ofV2 = listed.length > 0 ? listed : DELEGATED_ON_V2;
  return [
    ...host.v1
      .filter(({ controllers }) => controllers.length === 0)
      .flatMap((v1) => below(v1.mountPoint, DELEGATED_ON_V1)),
    ...(host.v2 === undefined ? [] : below(host.v2.mountPoint, ofV2)),
  ];
}
