/** Decides whether a cgroup that exists already may become a container's. */
import { existsSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { readHostText } from "./host.ts";
import type { CgroupPlan } from "./plan.ts";
import { parseFlatKeyed, readPids } from "./stats.ts";

/**
 * The plan's own cgroups that exist already and have no processes but `holder`: somebody may have made one for a container.
 * @throws LighterError ("conflict") with runc's text for a cgroup that is in use, or would never let a process run
 */
export function usableLeaves({ directories }: CgroupPlan, holder?: number): ReadonlySet<string> {
  const there = directories.filter(({ path, leaf }) => leaf && existsSync(path)).map(({ path }) => path);
  const pids = new Set(there.flatMap(readPids));
  if (holder !== undefined) pids.delete(holder);
  if (pids.size > 0)
    throw new LighterError("conflict", `container's cgroup is not empty: ${pids.size} process(es) found`);
  if (there.some(isFrozen)) throw new LighterError("conflict", "container's cgroup unexpectedly frozen");
  return new Set(there);
}

/**
 * Whether the cgroup or one above it is frozen. The first file exists in one hierarchy of v1 only, the second in every cgroup of
 * v2.
 */
function isFrozen(directory: string): boolean {
  const v1 = readHostText(`${directory}/freezer.state`)?.trim() ?? "THAWED";
  return v1 !== "THAWED" || parseFlatKeyed(readHostText(`${directory}/cgroup.events`) ?? "").frozen === 1;
}
