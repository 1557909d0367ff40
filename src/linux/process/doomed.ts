/** Recognises processes that were killed but cannot end. */
import { readdirSync, readFileSync } from "node:fs";
import { readProcessStat } from "./process-stat.ts";

const SIGKILL_BIT = 1n << 8n;

/**
 * Whether a process was killed but cannot end, because a thread of it waits in the kernel for what may never come, such as a file
 * system without its server. Nothing of it will ever run again, and its files stay open. `startTime` is that of its stat, since
 * another process may have got its pid. Source: proc_pid_status(5).
 */
export function isDoomed(pid: number, startTime: number): boolean {
  if (readProcessStat(pid)?.startTime !== startTime) return false;
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => hasEnded(`/proc/${pid}/task/${thread}/status`));
  } catch {
    return false; // it has ended
  }
}

function hasEnded(statusPath: string): boolean {
  const status = readFileSync(statusPath, "latin1");
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\w+)`, "m").exec(status)?.[1] ?? "";
  const state = field("State");
  if (state === "Z" || state === "X") return true;
  const pending = BigInt(`0x${field("SigPnd") || "0"}`) | BigInt(`0x${field("ShdPnd") || "0"}`);
  return state === "D" && (pending & SIGKILL_BIT) !== 0n;
}
