import { readFileSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { detectCgroupHost, locateController } from "../linux/cgroup/mod.ts";

/** Whether the process's cgroup, or one above it, is frozen (cgroup-v2.rst "cgroup.events", freezer-subsystem.rst). */
export function isFrozen(pid: number): boolean {
  try {
    const memberships = readFileSync(`/proc/${pid}/cgroup`, "utf8");
    const host = detectCgroupHost();
    const v1 = locateController(host, "freezer");
    const pathV1 = /^\d+:(?:[^:]*,)?freezer(?:,[^:]*)?:(.*)$/m.exec(memberships)?.[1];
    if (v1?.version === 1 && pathV1 !== undefined)
      return readFileSync(`${v1.mountPoint}${pathV1}/freezer.state`, "utf8").trim() !== "THAWED";
    const pathV2 = /^0::(.*)$/m.exec(memberships)?.[1];
    if (host.v2 === undefined || pathV2 === undefined) return false;
    return /^frozen 1$/m.test(readFileSync(`${host.v2.mountPoint}${pathV2}/cgroup.events`, "utf8"));
  } catch (error) {
    // The process or its cgroup has gone meanwhile, or it is in the root cgroup, which has no such file.
    if (["ENOENT", "ESRCH", "ENODEV"].includes(errnoOf(error))) return false;
    throw error;
  }
}
