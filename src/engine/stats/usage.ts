/** Reads all that is counted of one container at once, for those who ask for many. */
import { statSync } from "node:fs";
import {
  type CgroupHost,
  type CgroupStats,
  type Pressure,
  type PressureKind,
  type ReadText,
  readMemoryFailures,
  readOomKills,
  readPerCpuUsage,
  readPressure,
  readProcessIds,
  readStats,
} from "../../linux/cgroup/mod.ts";
import { cgroupsPathOf, type PlacedContainer } from "../config/mod.ts";
import type { ContainerRecord } from "../state/record.ts";
import { type InterfaceCounters, parseNetDev } from "./net-dev.ts";
import { hostCgroups } from "./sample.ts";

export interface ContainerUsage {
  /** The cgroup's path, as the configuration has it. */
  cgroupsPath: string;
  cgroup: CgroupStats;
  perCpuNs: readonly number[] | undefined;
  memoryFailures: number | undefined;
  oomKills: number | undefined;
  /** On cgroup v2 only. */
  pressure: Record<PressureKind, Pressure> | undefined;
  processCount: number;
  fdCount: number;
  /** The sockets of the network namespace, and its interfaces; undefined if the network is the host's. */
  socketCount: number | undefined;
  interfaces: readonly InterfaceCounters[] | undefined;
}

/** Reads what a container uses that runs. `host` is the host's own, but in tests. */
export function readUsage(
  record: PlacedContainer & Pick<ContainerRecord, "pid">,
  read: ReadText,
  host: CgroupHost = hostCgroups(),
): ContainerUsage {
  const path = cgroupsPathOf(record);
  const isHostNetwork = record.hostConfig.NetworkMode === "host";
  const processes = readProcessIds(host, path, read);
  const sockets = isHostNetwork ? "" : read(`/proc/${record.pid}/net/sockstat`);
  return {
    cgroupsPath: path,
    cgroup: readStats(host, path, read),
    perCpuNs: readPerCpuUsage(host, path, read),
    memoryFailures: readMemoryFailures(host, path, read),
    oomKills: readOomKills(host, path, read),
    pressure: readPressure(host, path, read),
    processCount: processes.length,
    fdCount: processes.reduce((sum, pid) => sum + countFds(pid), 0),
    socketCount: isHostNetwork ? undefined : Number(/^sockets: used (\d+)/.exec(sockets ?? "")?.[1] ?? 0),
    interfaces: isHostNetwork ? undefined : parseNetDev(read(`/proc/${record.pid}/net/dev`) ?? ""),
  };
}

/** The number of a process's open files: the size of its directory, since Linux 6.2; 0 before, and for one that has ended. */
function countFds(pid: number): number {
  return statSync(`/proc/${pid}/fd`, { throwIfNoEntry: false })?.size ?? 0;
}
