/** Reads what a container uses at one moment, for `docker stats`. */
import { readFileSync } from "node:fs";
import { formatRfc3339Fixed, nowNs } from "../../base/time.ts";
import {
  type CgroupHost,
  type CgroupStats,
  detectCgroupHost,
  type Pressure,
  type PressureKind,
  readMemoryFailures,
  readPerCpuUsage,
  readPressure,
  readStats,
  readSwap,
  type SwapStats,
} from "../../linux/cgroup/mod.ts";
import { cgroupsPathOf } from "../config/mod.ts";
import type { Container } from "../container.ts";
import { type InterfaceCounters, parseNetDev } from "./net-dev.ts";
import { parseSystemCpu } from "./system-cpu.ts";

export interface StatsSample {
  /** The time of the sample, RFC 3339. */
  read: string;
  version: 1 | 2;
  /** The cgroup's path, as the configuration has it. */
  cgroupsPath: string;
  cgroup: CgroupStats;
  /** The CPU time of each CPU; on cgroup v1 only. */
  perCpuNs: number[] | undefined;
  /** The number of times that the memory limit was hit; undefined if the kernel does not tell. */
  memoryFailures: number | undefined;
  memoryTotalBytes: number;
  system: { usageNs: number; cpuCount: number };
  /** The counters of interfaces, without "lo"; undefined if the network is the host's. */
  interfaces: InterfaceCounters[] | undefined;
}

/** The host's cgroups, read once: that takes longer than all the rest of a sample, and every container has one each second. */
let cgroupHost: CgroupHost | undefined;

export function hostCgroups(): CgroupHost {
  cgroupHost ??= detectCgroupHost();
  return cgroupHost;
}

/** Reads what a cgroup counts, such as one above several containers; undefined if it is not there. */
export function readCgroup(path: string): CgroupStats | undefined {
  const stats = readStats(hostCgroups(), path);
  return stats.cpu.usageNs === 0 && stats.memory.usageBytes === 0 ? undefined : stats;
}

/** What of a cgroup `docker stats` does not show. */
export interface CgroupDetails {
  /** On cgroup v2 only. */
  pressure: Record<PressureKind, Pressure> | undefined;
  /** Undefined if the kernel does not count it. */
  swap: SwapStats | undefined;
}

export function readCgroupDetails(path: string): CgroupDetails {
  return { pressure: readPressure(hostCgroups(), path), swap: readSwap(hostCgroups(), path) };
}

/** Reads a sample; undefined if the container does not run. */
export function readSample(container: Container, memoryTotalBytes: number): StatsSample | undefined {
  if (!container.isRunning) return undefined;
  const cgroupsPath = cgroupsPathOf(container.record);
  const host = hostCgroups();
  const isHostNetwork = container.record.hostConfig.NetworkMode === "host";
  return {
    read: formatRfc3339Fixed(nowNs()),
    version: host.mode === "unified" ? 2 : 1,
    cgroupsPath,
    cgroup: readStats(host, cgroupsPath),
    perCpuNs: readPerCpuUsage(host, cgroupsPath),
    memoryFailures: readMemoryFailures(host, cgroupsPath),
    memoryTotalBytes,
    system: parseSystemCpu(readText("/proc/stat")),
    interfaces: isHostNetwork ? undefined : parseNetDev(readText(`/proc/${container.record.pid}/net/dev`)),
  };
}

/** Reads how long tasks of a container that runs had to wait; undefined on cgroup v1, and where the kernel does not tell. */
export function samplePressure({ record }: Container): Record<PressureKind, Pressure> | undefined {
  return readPressure(hostCgroups(), cgroupsPathOf(record));
}

/** Reads a file; "" for a process that has just ended. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
