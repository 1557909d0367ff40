/** Measures the processor time of an engine and of the client that asks it. */
import { readFileSync } from "node:fs";
import { childrenOf, type Engine } from "./engines.ts";

/** The tick of the kernel's clock for statistics: there are 100 a second on every supported machine. */
const TICK_MS = 10;

/** The processor time of the engine, with all its ended children, and of this program's ended children. */
export function cpuMs(engine: Engine): number {
  const whole = engine.daemonPids().reduce((sum, pid) => sum + treeTicks(pid), 0);
  return (whole + ticks(process.pid).ended) * TICK_MS;
}

function treeTicks(pid: number): number {
  try {
    const { own, ended } = ticks(pid);
    return childrenOf(pid).reduce((sum, child) => sum + treeTicks(child), own + ended);
  } catch {
    return 0; // the process has just ended, and is in its parent's sum the next time
  }
}

/**
 * A process's ticks, and those of its ended children. Source: proc_pid_stat(5): utime, stime, cutime, cstime are fields 14 to 17.
 */
function ticks(pid: number): { own: number; ended: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15);
  return { own: user + system, ended: endedUser + endedSystem };
}
