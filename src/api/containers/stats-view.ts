/** Describes a container's statistics. */
import { ZERO_TIME } from "../../base/time.ts";
import type { StatsSample, samplePressure } from "../../engine/mod.ts";
import { jsonInteger } from "../../spec/json.ts";

/**
 * Statistics in the form of Docker's API, with the fields that exist on cgroup v1 or v2. A container that does not run has no
 * sample, and everything is zero.
 */
export function describeStats(
  of: { id: string; name: string },
  sample: StatsSample | undefined,
  previous: StatsSample | undefined,
): object {
  const networks = sample === undefined ? {} : describeNetworks(sample);
  return {
    read: sample?.read ?? ZERO_TIME,
    preread: previous?.read ?? ZERO_TIME,
    pids_stats: sample === undefined ? {} : describePids(sample),
    blkio_stats: describeBlockIo(sample),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: describeCpu(sample),
    precpu_stats: describeCpu(previous),
    memory_stats: sample === undefined ? {} : describeMemory(sample),
    name: `/${of.name}`,
    id: of.id,
    ...(Object.keys(networks).length === 0 ? {} : { networks }),
  };
}

function describePids({ cgroup: { pids } }: StatsSample): object {
  return { ...withoutZero({ current: pids.current }), ...withoutZero({ limit: pids.limit ?? 0 }) };
}

/** Leaves out fields that are 0, as Go's "omitempty" does. */
function withoutZero(fields: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== 0));
}

const UNSUPPORTED = [
  "io_queue_recursive",
  "io_service_time_recursive",
  "io_wait_time_recursive",
  "io_merged_recursive",
  "io_time_recursive",
  "sectors_recursive",
];

function describeBlockIo(sample: StatsSample | undefined): object {
  // The lists that v1 has files for are empty; v2 has no such files, and they are null.
  const nothing = sample?.version === 1 ? [] : null;
  const devices = sample?.cgroup.io ?? [];
  const entries = (names: readonly [string, string], read: "readBytes" | "readOperations") =>
    devices.length === 0
      ? nothing
      : devices.flatMap((device) => {
          const write = read === "readBytes" ? device.writeBytes : device.writeOperations;
          const { major, minor } = device;
          return [
            { major, minor, op: names[0], value: device[read] },
            { major, minor, op: names[1], value: write },
          ];
        });
  const names = sample?.version === 1 ? (["Read", "Write"] as const) : (["read", "write"] as const);
  return {
    io_service_bytes_recursive: entries(names, "readBytes"),
    io_serviced_recursive: sample?.version === 1 ? entries(names, "readOperations") : null,
    ...Object.fromEntries(UNSUPPORTED.map((name) => [name, nothing])),
  };
}

function describeCpu(sample: StatsSample | undefined): object {
  const cpu = sample?.cgroup.cpu;
  return {
    cpu_usage: {
      total_usage: cpu?.usageNs ?? 0,
      ...(sample?.perCpuNs === undefined ? {} : { percpu_usage: sample.perCpuNs }),
      usage_in_kernelmode: cpu?.systemNs ?? 0,
      usage_in_usermode: cpu?.userNs ?? 0,
    },
    ...withoutZero({ system_cpu_usage: sample?.system.usageNs ?? 0, online_cpus: sample?.system.cpuCount ?? 0 }),
    throttling_data: {
      periods: cpu?.periods ?? 0,
      throttled_periods: cpu?.throttledPeriods ?? 0,
      throttled_time: cpu?.throttledNs ?? 0,
    },
  };
}

const COUNTED_V1 = [
  "cache",
  "rss",
  "rss_huge",
  "mapped_file",
  "dirty",
  "writeback",
  "pgpgin",
  "pgpgout",
  "pgfault",
  "pgmajfault",
  "inactive_anon",
  "active_anon",
  "inactive_file",
  "active_file",
  "unevictable",
];

/** The fields of memory.stat that Docker passes on. */
const MEMORY_STATS: Readonly<Record<1 | 2, readonly string[]>> = {
  1: [
    ...COUNTED_V1,
    ...COUNTED_V1.map((name) => `total_${name}`),
    "hierarchical_memory_limit",
    "hierarchical_memsw_limit",
  ].sort(),
  2: [
    ...["anon", "file", "kernel_stack", "slab", "sock", "shmem", "file_mapped", "file_dirty", "file_writeback"],
    ...["anon_thp", "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable"],
    ...["slab_reclaimable", "slab_unreclaimable", "pgfault", "pgmajfault", "workingset_refault"],
    ...["workingset_activate", "workingset_nodereclaim", "pgrefill", "pgscan", "pgsteal", "pgactivate"],
    ...["pgdeactivate", "pglazyfree", "pglazyfreed", "thp_fault_alloc", "thp_collapse_alloc"],
  ].sort(),
};

/** The memory fields. Since Linux 5.9 memory.stat counts refaults by kind; Docker shows the old sum's name, which is then 0. */
function describeMemory({ version, cgroup: { memory }, memoryFailures, memoryTotalBytes }: StatsSample): object {
  const limit = Math.min(memory.limitBytes ?? Number.POSITIVE_INFINITY, memoryTotalBytes);
  return {
    ...withoutZero({ usage: memory.usageBytes, max_usage: version === 1 ? (memory.maxUsageBytes ?? 0) : 0 }),
    stats: Object.fromEntries(MEMORY_STATS[version].map((name) => [name, jsonInteger(memory.stat[name] ?? 0)])),
    ...withoutZero({ failcnt: memoryFailures ?? 0, limit }),
  };
}

function describeNetworks({ interfaces }: StatsSample): Record<string, object> {
  return Object.fromEntries(
    (interfaces ?? []).map((each) => [
      each.name,
      {
        rx_bytes: each.rxBytes,
        rx_packets: each.rxPackets,
        rx_errors: each.rxErrors,
        rx_dropped: each.rxDropped,
        tx_bytes: each.txBytes,
        tx_packets: each.txPackets,
        tx_errors: each.txErrors,
        tx_dropped: each.txDropped,
      },
    ]),
  );
}

/** The pressure in the words of the kernel's files; undefined if it is not known. Shares are percent of the last ten seconds. */
export function describePressure(pressure: ReturnType<typeof samplePressure>): object | undefined {
  if (pressure === undefined) return undefined;
  const kinds = (["cpu", "memory", "io"] as const).map((kind) => {
    const { some, full } = pressure[kind];
    const [ofSome, ofFull] = [some, full].map(({ avg10, totalUs }) => ({ avg10, total: totalUs }));
    return [kind, { some: ofSome, full: ofFull }] as const;
  });
  return Object.fromEntries(kinds);
}
