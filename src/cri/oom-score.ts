/** How likely a pod's processes are killed when memory is short. */
import { readFileSync } from "node:fs";
import type { HostFacts } from "../engine/mod.ts";

/** The score that was asked for, or the least that this process may give. Source: proc_pid_oom_score_adj(5). */
export function possibleOomScore(wanted: number, { capabilities }: Pick<HostFacts, "capabilities">): number {
  if (capabilities.includes("CAP_SYS_RESOURCE")) return wanted;
  return Math.max(wanted, Number(readFileSync("/proc/self/oom_score_adj", "utf8")));
}
