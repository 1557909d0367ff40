/** What an engine and the client that asks it cost, in time of processors. */
import { readFileSync } from "node:fs";
import { childrenOf, type Engine } from "./engines.ts";

/** Of the kernel's clock for statistics: 100 a second on every machine that counts here. */
const TICK_MS = 10;

/** Of the engine with all that it has started and that has ended, and of this program's own ended children. */
export function cpuMs(engine: Engine): number {
  const whole = engine.daemonPids().reduce((sum, pid) => sum + treeTicks(pid), 0);
  return (whole + ticks(process.pid).ended) * TICK_MS;
}

function treeTicks(pid: number): number {
  try {
    const { own, ended } = ticks(pid);
    return childrenOf(pid).reduce((sum, child) => sum + treeTicks(child), own + ended);
  } catch {
    return 0; // it has just ended, and is in its parent's sum the next time
  }
}

/** Source: proc_pid_stat(5): utime, stime, cutime, cstime are fields 14 to 17. */
function ticks(pid: number): { own: number; ended: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15);
  return { own: user + system, ended: endedUser + endedSystem };
}
