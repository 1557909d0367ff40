/** Measures the processor time of an engine and of the client that asks it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { childrenOf, type Engine } from "./engines.ts";

/** The tick of the kernel's clock for statistics: there are 100 a second on every supported machine. */
const TICK_MS = 10;

/** The hierarchy of cgroups that counts processor time. */
export const cpuHierarchy = existsSync("/sys/fs/cgroup/cpuacct") ? "/sys/fs/cgroup/cpuacct" : "/sys/fs/cgroup";

/** The processor time that the cgroup of a container has used, given its process 1: with all that the container has made of it. */
export function cgroupCpuMs(initPid: number): number {
  const lines = readFileSync(`/proc/${initPid}/cgroup`, "utf8").split("\n");
  const line = lines.find((text) => text.split(":")[1] === "cpuacct") ?? lines.find((text) => text.startsWith("0::"));
  const directory = join(cpuHierarchy, line!.split(":")[2]!.replace(/\/init\.scope$/, ""));
  if (cpuHierarchy.endsWith("cpuacct")) return Number(readFileSync(join(directory, "cpuacct.usage"), "utf8")) / 1e6;
  return Number(/^usage_usec (\d+)$/m.exec(readFileSync(join(directory, "cpu.stat"), "utf8"))?.[1]) / 1e3;
}

/** The processor time of processes themselves, without their children. */
export function ownCpuMs(...pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticks(pid).own, 0) * TICK_MS;
}

/** The processor time of the programs that this one has started and that have ended. */
export function endedCpuMs(): number {
  return ticks(process.pid).ended * TICK_MS;
}

/** The processor time of the engine, with all its children, ended ones too. */
export function engineCpuMs(engine: Engine): number {
  return engine.daemonPids().reduce((sum, pid) => sum + treeTicks(pid), 0) * TICK_MS;
}

/** The same, with this program's ended children. */
export function cpuMs(engine: Engine): number {
  return engineCpuMs(engine) + endedCpuMs();
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
