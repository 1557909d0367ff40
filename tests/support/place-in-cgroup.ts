/** Stands in for systemd, which places a process in a cgroup. */
import { mkdirSync, writeFileSync } from "node:fs";
import { setupCgroupParents } from "../../src/linux/cgroup/mod.ts";
import type { StartRequest } from "../../src/runtime/mod.ts";

/** Makes the cgroup and moves the process there, as systemd would. */
export const placeInCgroup: NonNullable<StartRequest["placeInCgroup"]> = async (pid, plan, host) => {
  setupCgroupParents(host, plan);
  for (const { path } of plan.directories) mkdirSync(path, { recursive: true });
  for (const file of [...plan.tasksFiles, ...(plan.v2Directory ? [`${plan.v2Directory}/cgroup.procs`] : [])])
    writeFileSync(file, String(pid));
};
