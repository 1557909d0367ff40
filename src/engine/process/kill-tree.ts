/** Ends an exec together with what it has started. */
import { readFileSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { SIGNALS } from "../../base/signals.ts";
import type { Exec } from "./exec.ts";

/**
 * Kills the exec's process and all its descendants, apart from those that have made themselves independent of it. Who is stopped
 * reaps nobody, so that a number stays that of its process until it is killed.
 * Source: proc_pid_task(5), "children".
 */
export async function killTree(exec: Exec): Promise<void> {
  const { supervised, pid } = exec;
  if (!exec.isRunning || supervised === undefined) return;
  await supervised.signal(SIGNALS.STOP!);
  const found: number[] = [];
  for (let parents = [pid]; parents.length > 0; ) {
    parents = parents.flatMap(childrenOf);
    for (const child of parents) send(child, "SIGSTOP");
    found.push(...parents);
  }
  for (const child of found.reverse()) send(child, "SIGKILL");
  await supervised.signal(SIGNALS.KILL!);
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.split(" ").flatMap((word) => (/^\d+$/.test(word) ? [Number(word)] : []));
  } catch {
    return []; // it has ended, or the kernel has no such file
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}
