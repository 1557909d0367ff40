/** Removes a cgroup together with the processes in it. */
import { SIGKILL } from "../../base/signals.ts";
import type { CgroupHost } from "./host.ts";
import { planCgroup } from "./plan.ts";
import { removeCgroup } from "./setup.ts";
import { signalProcesses } from "./signal-processes.ts";

const KILL_ROUNDS = 200;
const KILL_PAUSE_MS = 5;

/**
 * Kills the processes of the cgroup until it is empty, and removes it. A missing cgroup counts as removed. @throws as
 * `removeCgroup`
 */
export async function emptyCgroup(host: CgroupHost, path: string): Promise<void> {
  const plan = planCgroup(host, path, {});
  const directory = plan.v2Directory ?? plan.directories.find(({ leaf }) => leaf)?.path;
  for (let round = 0; directory && round < KILL_ROUNDS; round++) {
    if (signalProcesses(directory, SIGKILL) === 0) break;
    await new Promise((resolve) => setTimeout(resolve, KILL_PAUSE_MS));
  }
  removeCgroup(host, path);
}
