import { existsSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { readHostText } from "./host.ts";
import type { CgroupPlan } from "./plan.ts";
import { parseFlatKeyed, readPids } from "./stats.ts";

/**
 * Which of the plan's own cgroups are there already, as somebody may have made one for a container: with nobody in them.
 * @throws LighterError ("conflict") with runc's text for what is another's, or would never let a process run
 */
export function usableLeaves({ directories }: CgroupPlan): ReadonlySet<string> {
  const there = directories.filter(({ path, leaf }) => leaf && existsSync(path)).map(({ path }) => path);
  const pids = new Set(there.flatMap(readPids));
  if (pids.size > 0)
    throw new LighterError("conflict", `container's cgroup is not empty: ${pids.size} process(es) found`);
  if (there.some(isFrozen)) throw new LighterError("conflict", "container's cgroup unexpectedly frozen");
  return new Set(there);
}

/** By itself or with one above it. Only one hierarchy of v1 has the first file; of v2, each cgroup the second. */
function isFrozen(directory: string): boolean {
  const v1 = readHostText(`${directory}/freezer.state`)?.trim() ?? "THAWED";
  return v1 !== "THAWED" || parseFlatKeyed(readHostText(`${directory}/cgroup.events`) ?? "").frozen === 1;
}
