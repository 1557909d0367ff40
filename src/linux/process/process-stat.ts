/** Reads /proc/PID/stat. */
import { readFileSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";

interface ProcessStat {
  /** The state, as one letter. */
  state: string;
  parent: number;
  /** The start in clock ticks since boot, which tells a process from a later one with its pid. */
  startTime: number;
}

/** Reads a process's stat; undefined if there is no such process. Source: proc_pid_stat(5). */
export function readProcessStat(pid: number): ProcessStat | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes(errnoOf(error))) return undefined;
    throw error;
  }
  // The name, field 2, is in parentheses and may hold anything, parentheses included. Field 3 follows the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", parent: Number(fields[1]), startTime: Number(fields[19]) };
}
