/**
 * Computes what a container uses from the API's ContainerStats, by the formulas of the stock client, so that the
 * numbers agree.
 * Source: Engine API, ContainerStats, which gives them for CPU and memory.
 */

/** One sample, with the fields that we use. Memory is missing for a container that does not run. */
export interface StatsSample {
  readonly id?: string;
  readonly name?: string;
  readonly read?: string;
  readonly cpu_stats?: CpuStats;
  readonly precpu_stats?: CpuStats;
  readonly memory_stats?: {
    readonly usage?: number;
    readonly limit?: number;
    readonly stats?: Readonly<Record<string, number>> | null;
  };
  readonly networks?: Readonly<Record<string, { readonly rx_bytes: number; readonly tx_bytes: number }>> | null;
  readonly blkio_stats?: {
    readonly io_service_bytes_recursive?: readonly { readonly op: string; readonly value: number }[] | null;
  };
  readonly pids_stats?: { readonly current?: number };
  /** Lighter's own, if it is asked for; absent on cgroup v1. */
  readonly pressure_stats?: Readonly<Record<PressureKind, { some: PressureShare; full: PressureShare }>>;
}

export type PressureKind = "cpu" | "memory" | "io";

interface PressureShare {
  /** Percent of the last ten seconds. */
  readonly avg10: number;
}

interface CpuStats {
  readonly cpu_usage?: { readonly total_usage?: number; readonly percpu_usage?: readonly number[] | null };
  readonly system_cpu_usage?: number;
  readonly online_cpus?: number;
}

export interface Usage {
  /** Percentage of one CPU: 200 means two full CPUs. */
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
  readonly memoryPercent: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly processes: number;
  /** Percent of the last ten seconds in which some of its tasks, or all of them, waited; undefined if that is not known. */
  readonly waits: Readonly<Record<PressureKind, { some: number; full: number }>> | undefined;
}

export function computeUsage(sample: StatsSample): Usage {
  const memoryBytes = memoryWithoutCache(sample.memory_stats);
  const memoryLimitBytes = count(sample.memory_stats?.limit);
  const networks = Object.values(sample.networks ?? {});
  return {
    cpuPercent: cpuPercent(sample),
    memoryBytes,
    memoryLimitBytes,
    memoryPercent: memoryLimitBytes === 0 ? 0 : (memoryBytes / memoryLimitBytes) * 100,
    receivedBytes: networks.reduce((sum, network) => sum + count(network?.rx_bytes), 0),
    sentBytes: networks.reduce((sum, network) => sum + count(network?.tx_bytes), 0),
    readBytes: blockBytes(sample, "r"),
    writtenBytes: blockBytes(sample, "w"),
    processes: count(sample.pids_stats?.current),
    waits: waitsOf(sample.pressure_stats),
  };
}

function waitsOf(pressure: StatsSample["pressure_stats"]): Usage["waits"] {
  if (!pressure) return undefined; // nothing, or null
  const of = (kind: PressureKind) => ({
    some: count(pressure[kind]?.some?.avg10),
    full: count(pressure[kind]?.full?.avg10),
  });
  return { cpu: of("cpu"), memory: of("memory"), io: of("io") };
}

/** Returns the value, or 0 if the daemon left it out or sent nonsense. */
function count(value: number | undefined): number {
  return typeof value === "number" ? value : 0;
}

/**
 * Returns the container's share of the CPU time that passed on the whole host between this sample and the one before.
 */
function cpuPercent({ cpu_stats: now, precpu_stats: before }: StatsSample): number {
  const used = count(now?.cpu_usage?.total_usage) - count(before?.cpu_usage?.total_usage);
  const passed = count(now?.system_cpu_usage) - count(before?.system_cpu_usage);
  const cpus = count(now?.online_cpus) || count(now?.cpu_usage?.percpu_usage?.length);
  return used > 0 && passed > 0 ? (used / passed) * cpus * 100 : 0;
}

/**
 * Returns memory without the cached pages of files unused for a while, which the kernel can reclaim at once (cgroup v1,
 * then v2).
 */
function memoryWithoutCache(memory: StatsSample["memory_stats"]): number {
  const usage = count(memory?.usage);
  for (const name of ["total_inactive_file", "inactive_file"]) {
    const cache = memory?.stats?.[name];
    if (typeof cache === "number" && cache < usage) return usage - cache;
  }
  return usage;
}

function blockBytes(sample: StatsSample, letter: "r" | "w"): number {
  const entries = sample.blkio_stats?.io_service_bytes_recursive;
  if (!Array.isArray(entries)) return 0;
  return entries
    .filter((entry) => `${entry?.op}`.charAt(0).toLowerCase() === letter)
    .reduce((sum: number, entry) => sum + count(entry?.value), 0);
}
