/** Finds the cgroup in which a further process of a container starts. */
import { dirname } from "node:path";
import { type CgroupV2Hierarchy, parseProcCgroup, type ReadText, words } from "./host.ts";

/**
 * The v2 cgroup in which one more process of a container is born: `directory`, the container's cgroup, or, if that hands
 * controllers down and so can have no processes, the cgroup that its process `pid` has moved to. A threaded cgroup takes no
 * process from elsewhere: then it is the nearest cgroup above that does.
 * Source: Linux Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint", "Threads".
 */
export function directoryForFurther(v2: CgroupV2Hierarchy, directory: string, pid: number, read: ReadText): string {
  if (words(read(`${directory}/cgroup.subtree_control`) ?? "").length === 0) return directory;
  const path = parseProcCgroup(read(`/proc/${pid}/cgroup`) ?? "").find(({ hierarchyId }) => hierarchyId === 0)?.path;
  let chosen = v2.mountPoint + belowMount(v2.mountRoot, path ?? "");
  if (!chosen.startsWith(`${directory}/`)) return directory;
  while (chosen !== directory && read(`${chosen}/cgroup.type`)?.trim() === "threaded") chosen = dirname(chosen);
  return chosen;
}

function belowMount(mountRoot: string, path: string): string {
  return mountRoot !== "/" && path.startsWith(`${mountRoot}/`) ? path.slice(mountRoot.length) : path;
}
