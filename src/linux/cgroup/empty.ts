import { errnoOf } from "../../base/errors.ts";
import type { CgroupHost } from "./host.ts";
import { planCgroup } from "./plan.ts";
import { removeCgroup } from "./setup.ts";
import { readPids } from "./stats.ts";

const KILL_ROUNDS = 200;
const KILL_PAUSE_MS = 5;

/** Kills what is in the cgroup until it is empty, and removes it. A missing one is removed already. @throws as `removeCgroup` */
export async function emptyCgroup(host: CgroupHost, path: string): Promise<void> {
  const plan = planCgroup(host, path, {});
  const directory = plan.v2Directory ?? plan.directories.find(({ leaf }) => leaf)?.path;
  for (let round = 0; directory && round < KILL_ROUNDS; round++) {
    const pids = readPids(directory);
    if (pids.length === 0) break;
    for (const pid of pids) kill(pid);
    await new Promise((resolve) => setTimeout(resolve, KILL_PAUSE_MS));
  }
  removeCgroup(host, path);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}
