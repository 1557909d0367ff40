/**
 * What a container uses, from the API's ContainerStats: the formulas of the stock client, so that numbers agree.
 * Source: Engine API, ContainerStats, which gives them for CPU and memory.
 */

/** One sample, as far as it is used. Memory is missing for a container that does not run. */
export interface StatsSample {
  readonly id?: string;
  readonly name?: string;
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
}

interface CpuStats {
  readonly cpu_usage?: { readonly total_usage?: number; readonly percpu_usage?: readonly number[] | null };
  readonly system_cpu_usage?: number;
  readonly online_cpus?: number;
}

export interface Usage {
  /** Of one CPU: 200 is two of them. */
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
  readonly memoryPercent: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly processes: number;
}

export function computeUsage(sample: StatsSample): Usage {
  const memoryBytes = memoryWithoutCache(sample.memory_stats);
  const memoryLimitBytes = sample.memory_stats?.limit ?? 0;
  const networks = Object.values(sample.networks ?? {});
  return {
    cpuPercent: cpuPercent(sample),
    memoryBytes,
    memoryLimitBytes,
    memoryPercent: memoryLimitBytes === 0 ? 0 : (memoryBytes / memoryLimitBytes) * 100,
    receivedBytes: networks.reduce((sum, network) => sum + network.rx_bytes, 0),
    sentBytes: networks.reduce((sum, network) => sum + network.tx_bytes, 0),
    readBytes: blockBytes(sample, "r"),
    writtenBytes: blockBytes(sample, "w"),
    processes: sample.pids_stats?.current ?? 0,
  };
}

/** The container's share of the time that passed on the whole host between this sample and the one before. */
function cpuPercent({ cpu_stats: now, precpu_stats: before }: StatsSample): number {
  const used = (now?.cpu_usage?.total_usage ?? 0) - (before?.cpu_usage?.total_usage ?? 0);
  const passed = (now?.system_cpu_usage ?? 0) - (before?.system_cpu_usage ?? 0);
  const cpus = now?.online_cpus || (now?.cpu_usage?.percpu_usage?.length ?? 0);
  return used > 0 && passed > 0 ? (used / passed) * cpus * 100 : 0;
}

/** Pages of files that nobody has touched for a while can be had back at once. (cgroup v1, then v2) */
function memoryWithoutCache(memory: StatsSample["memory_stats"]): number {
  const usage = memory?.usage ?? 0;
  for (const name of ["total_inactive_file", "inactive_file"]) {
    const cache = memory?.stats?.[name];
    if (cache !== undefined && cache < usage) return usage - cache;
  }
  return usage;
}

function blockBytes(sample: StatsSample, letter: "r" | "w"): number {
  return (sample.blkio_stats?.io_service_bytes_recursive ?? [])
    .filter(({ op }) => op.charAt(0).toLowerCase() === letter)
    .reduce((sum, { value }) => sum + value, 0);
}
