/** What a container uses, at one moment: what `docker stats` is made of. */
import { readFileSync } from "node:fs";
import { formatRfc3339Fixed, nowNs } from "../../base/time.ts";
import {
  type CgroupHost,
  type CgroupStats,
  detectCgroupHost,
  readMemoryFailures,
  readPerCpuUsage,
  readStats,
} from "../../linux/cgroup/mod.ts";
import { cgroupsPathOf } from "../config/mod.ts";
import type { Container } from "../container.ts";
import { type InterfaceCounters, parseNetDev } from "./net-dev.ts";
import { parseSystemCpu } from "./system-cpu.ts";

export interface StatsSample {
  /** RFC 3339, of the moment. */
  read: string;
  version: 1 | 2;
  cgroup: CgroupStats;
  /** v1 only. */
  perCpuNs: number[] | undefined;
  /** How often the limit of memory was hit; undefined if the kernel does not tell. */
  memoryFailures: number | undefined;
  memoryTotalBytes: number;
  system: { usageNs: number; cpuCount: number };
  /** Without "lo"; undefined if the network is the host's. */
  interfaces: InterfaceCounters[] | undefined;
}

/** Asked once: that takes longer than all the rest of a sample, and every container has one each second. */
let cgroupHost: CgroupHost | undefined;

/** Undefined: the container does not run. */
export function readSample(container: Container, memoryTotalBytes: number): StatsSample | undefined {
  if (!container.isRunning) return undefined;
  const cgroupsPath = cgroupsPathOf(container.record);
  cgroupHost ??= detectCgroupHost();
  const host = cgroupHost;
  const isHostNetwork = container.record.hostConfig.NetworkMode === "host";
  return {
    read: formatRfc3339Fixed(nowNs()),
    version: host.mode === "unified" ? 2 : 1,
    cgroup: readStats(host, cgroupsPath),
    perCpuNs: readPerCpuUsage(host, cgroupsPath),
    memoryFailures: readMemoryFailures(host, cgroupsPath),
    memoryTotalBytes,
    system: parseSystemCpu(readText("/proc/stat")),
    interfaces: isHostNetwork ? undefined : parseNetDev(readText(`/proc/${container.record.pid}/net/dev`)),
  };
}

/** "" for a process that has just ended. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
