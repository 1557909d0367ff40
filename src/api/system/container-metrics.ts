/** Metrics of each container under cAdvisor's names, which boards are written for. Nothing is kept between two scrapes. */
import { readFileSync, statfsSync, statSync } from "node:fs";
import { family, formatLabels } from "../../base/metrics.ts";
import {
  type Container,
  type ContainerUsage,
  KeptFiles,
  lastWritten,
  memoryStat,
  type ReadText,
  readUsage,
  workingSetBytes,
} from "../../engine/mod.ts";

/** A value with its own labels, as text. */
type Value = readonly [labels: string, value: number];
type Read = (usage: ContainerUsage, container: Container, disk: Disk) => readonly Value[];

/** The file system of containers' own files. */
interface Disk {
  /** Its label. */
  device: string;
  bytes: number;
  inodes: number;
  freeInodes: number;
}

interface Metric {
  name: string;
  type: "gauge" | "counter";
  help: string;
  read: Read;
}

type ReadOne = (usage: ContainerUsage, container: Container) => number | undefined;

/** A metric with one value, or none where it is not known. */
const one = (type: Metric["type"], name: string, help: string, read: ReadOne): Metric => ({
  ...{ type, name: `container_${name}`, help },
  read: (usage, container) => {
    const value = read(usage, container);
    return value === undefined ? [] : [["", value]];
  },
});
const many = (type: Metric["type"], name: string, help: string, read: Read): Metric => ({
  ...{ type, name: `container_${name}`, help, read },
});

const stat = ({ cgroup }: ContainerUsage, ...names: readonly string[]) => memoryStat(cgroup.memory, ...names);

const CPU: readonly Metric[] = [
  many("counter", "cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", ({ cgroup, perCpuNs }) =>
    perCpuNs === undefined || perCpuNs.length === 0
      ? [['cpu="total"', cgroup.cpu.usageNs / 1e9]]
      : perCpuNs.map((ns, index) => [`cpu="cpu${String(index).padStart(2, "0")}"`, ns / 1e9] as const),
  ),
  one("counter", "cpu_user_seconds_total", "Cumulative user cpu time.", ({ cgroup }) => cgroup.cpu.userNs / 1e9),
  one("counter", "cpu_system_seconds_total", "Cumulative system cpu time.", ({ cgroup }) => cgroup.cpu.systemNs / 1e9),
  one("counter", "cpu_cfs_periods_total", "Elapsed enforcement periods.", ({ cgroup }) => cgroup.cpu.periods),
  one("counter", "cpu_cfs_throttled_periods_total", "Throttled periods.", ({ cgroup }) => cgroup.cpu.throttledPeriods),
  one(
    "counter",
    "cpu_cfs_throttled_seconds_total",
    "Time for which it was throttled.",
    ({ cgroup }) => cgroup.cpu.throttledNs / 1e9,
  ),
];

const MEMORY: readonly Metric[] = [
  one("gauge", "memory_usage_bytes", "Memory in use, caches included.", ({ cgroup }) => cgroup.memory.usageBytes),
  one("gauge", "memory_working_set_bytes", "Memory in use without inactive caches.", ({ cgroup }) =>
    workingSetBytes(cgroup.memory),
  ),
  one("gauge", "memory_rss", "Anonymous memory in bytes.", (usage) => stat(usage, "total_rss", "anon")),
  one("gauge", "memory_cache", "Page cache in bytes.", (usage) => stat(usage, "total_cache", "file")),
  one("gauge", "memory_mapped_file", "Mapped files in bytes.", (usage) =>
    stat(usage, "total_mapped_file", "file_mapped"),
  ),
  one("gauge", "memory_swap", "Swapped memory in bytes; on cgroup v1.", ({ cgroup }) =>
    cgroup.memory.stat.total_swap === undefined ? undefined : Number(cgroup.memory.stat.total_swap),
  ),
  one("gauge", "memory_max_usage_bytes", "Most memory so far in use.", ({ cgroup }) => cgroup.memory.maxUsageBytes),
  {
    ...one("counter", "memory_failcnt", "How often its limit was hit.", ({ memoryFailures }) => memoryFailures),
    type: "gauge",
  },
  many("counter", "memory_failures_total", "Cumulative count of page faults.", (usage) =>
    ["pgfault", "pgmajfault"].flatMap((type) => [
      [`failure_type="${type}",scope="container"`, stat(usage, type)] as const,
      [`failure_type="${type}",scope="hierarchy"`, stat(usage, `total_${type}`, type)] as const,
    ]),
  ),
  one("counter", "oom_events_total", "Processes killed for lack of memory.", ({ oomKills }) => oomKills),
];

const ofInterfaces = (verb: string, side: "rx" | "tx"): Metric[] =>
  (["Bytes", "Packets", "Errors", "Dropped"] as const).map((field) => {
    const what = field === "Dropped" ? "packets_dropped" : field.toLowerCase();
    return many("counter", `network_${verb}_${what}_total`, `${field} by interface.`, ({ interfaces = [] }) =>
      interfaces.map((each) => [formatLabels({ interface: each.name }), each[`${side}${field}`]] as const),
    );
  });

const ofDevices = (
  name: string,
  help: string,
  field: "readBytes" | "writeBytes" | "readOperations" | "writeOperations",
) =>
  many("counter", name, help, ({ cgroup }) =>
    cgroup.io.map((each) => [formatLabels({ device: deviceName(each.major, each.minor) }), each[field]] as const),
  );

const ofDisk = (name: string, help: string, read: (disk: Disk) => number) =>
  many("gauge", name, help, (_usage, _container, disk) => [[disk.device, read(disk)]]);

const DISKS: readonly Metric[] = [
  many("gauge", "fs_usage_bytes", "Bytes of its own files, as measured last.", (_, container, { device }) => {
    const written = lastWritten(container);
    return written === undefined ? [] : [[device, written.bytes]];
  }),
  ofDisk("fs_limit_bytes", "Bytes that the file system has for all.", ({ bytes }) => bytes),
  ofDisk("fs_inodes_total", "Inodes that the file system has for all.", ({ inodes }) => inodes),
  ofDisk("fs_inodes_free", "Inodes that are free on it.", ({ freeInodes }) => freeInodes),
  ofDevices("fs_reads_bytes_total", "Bytes read.", "readBytes"),
  ofDevices("fs_writes_bytes_total", "Bytes written.", "writeBytes"),
  ofDevices("fs_reads_total", "Reads.", "readOperations"),
  ofDevices("fs_writes_total", "Writes.", "writeOperations"),
];

/** Pressure: "waiting" is for some of its tasks, "stalled" for all of them at once. */
const PRESSURE: readonly Metric[] = (["cpu", "memory", "io"] as const).flatMap((kind) => [
  one("counter", `pressure_${kind}_waiting_seconds_total`, `Time in which tasks waited for ${kind}.`, ({ pressure }) =>
    pressure === undefined ? undefined : pressure[kind].some.totalUs / 1e6,
  ),
  one("counter", `pressure_${kind}_stalled_seconds_total`, `Time in which all waited for ${kind}.`, ({ pressure }) =>
    pressure === undefined ? undefined : pressure[kind].full.totalUs / 1e6,
  ),
]);

const OTHERS: readonly Metric[] = [
  one("gauge", "processes", "Processes.", ({ processCount }) => processCount),
  one("gauge", "threads", "Threads.", ({ cgroup }) => cgroup.pids.current),
  one("gauge", "threads_max", "Limit of threads.", ({ cgroup }) => cgroup.pids.limit),
  one("gauge", "file_descriptors", "Open files.", ({ fdCount }) => fdCount),
  one("gauge", "sockets", "Sockets of its network namespace.", ({ socketCount }) => socketCount),
  one("gauge", "last_seen", "The time of this scrape.", () => Math.floor(Date.now() / 1000)),
  one("gauge", "start_time_seconds", "The time of its start.", (_, { record }) => Date.parse(record.startedAt) / 1000),
  one("gauge", "health_state", "1 if its health check says healthy.", (_, { record }) =>
    record.health === undefined ? undefined : Number(record.health.status === "healthy"),
  ),
  one("gauge", "spec_cpu_quota", "CPU quota in µs.", (_, { record }) => quotaOf(record.hostConfig)),
  one("gauge", "spec_cpu_period", "CPU period in µs.", (_, { record }) => record.hostConfig.CpuPeriod || 100_000),
  one("gauge", "spec_cpu_shares", "CPU shares.", (_, { record }) => record.hostConfig.CpuShares || 1024),
  one("gauge", "spec_memory_limit_bytes", "Memory limit; 0 is none.", ({ cgroup }) => cgroup.memory.limitBytes ?? 0),
];

const METRICS: readonly Metric[] = [
  ...[...CPU, ...MEMORY, ...ofInterfaces("receive", "rx"), ...ofInterfaces("transmit", "tx")],
  ...[...DISKS, ...PRESSURE, ...OTHERS],
];

function quotaOf({ CpuQuota, NanoCpus }: Container["record"]["hostConfig"]): number | undefined {
  if (NanoCpus) return NanoCpus / 10_000;
  return CpuQuota && CpuQuota > 0 ? CpuQuota : undefined;
}

const deviceNames = new Map<string, string>();

/** A device's path, or its number if it has none any more. */
function deviceName(major: number, minor: number): string {
  const number = `${major}:${minor}`;
  let name = deviceNames.get(number);
  if (name === undefined) {
    name = number;
    try {
      const found = /^DEVNAME=(.+)$/m.exec(readFileSync(`/sys/dev/block/${number}/uevent`, "utf8"));
      if (found !== null) name = `/dev/${found[1]}`;
    } catch {
      // the device has gone
    }
    deviceNames.set(number, name);
  }
  return name;
}

/** What is known of the file system that a directory is on. */
export function readDisk(directory: string): Disk {
  const { blocks, bsize, files, ffree } = statfsSync(directory);
  const { dev } = statSync(directory);
  // Source: gnu_dev_major(3).
  const [major, minor] = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)];
  const device = formatLabels({ device: deviceName(major, minor) });
  return { device, bytes: blocks * bsize, inodes: files, freeInodes: ffree };
}

/** The labels of all of a container's samples. `wanted`: names of its own labels; of two that become one name the first counts. */
function containerLabels(
  { id, record }: Pick<Container, "id" | "record">,
  cgroupsPath: string,
  wanted: readonly string[],
): string {
  const labels: Record<string, string> = {
    id: cgroupsPath.startsWith("/") ? cgroupsPath : `/${cgroupsPath || id}`,
    name: record.name,
    image: record.image,
  };
  for (const name of wanted) {
    const value = Object.hasOwn(record.config.Labels ?? {}, name) ? record.config.Labels?.[name] : undefined;
    if (value !== undefined) labels[`container_label_${name.replace(/[^a-zA-Z0-9_]/g, "_")}`] ??= value;
  }
  return formatLabels(labels);
}

const files = new KeptFiles();

/** The text for the containers that run, grouped by metric. `wanted`: names of their labels. `read` reads a file of the kernel's. */
export function formatContainerMetrics(
  containers: readonly Container[],
  wanted: readonly string[],
  disk: Disk,
  use: (container: Container, read: ReadText) => ContainerUsage = ({ record }, read) => readUsage(record, read),
): Uint8Array {
  const running = containers.filter(({ isRunning }) => isRunning);
  const usages = files.readAll((read) => running.map((container) => use(container, read)));
  const labels = running.map((container, index) =>
    Buffer.from(containerLabels(container, usages[index]!.cgroupsPath, wanted)),
  );
  const text = new TextBuffer();
  for (const { name, type, help, read } of METRICS) {
    text.add(
      family(name, type, help, [])
        .map((line) => `${line}\n`)
        .join(""),
    );
    const prefix = Buffer.from(`${name}{`);
    for (const [index, container] of running.entries())
      for (const [own, value] of read(usages[index]!, container, disk)) {
        text.addBytes(prefix);
        text.addBytes(labels[index]!);
        text.add(own === "" ? `} ${value}\n` : `,${own}} ${value}\n`);
      }
  }
  return text.bytes();
}

/** A text of many megabytes, put together from pieces that occur often: as a string it would be copied three times. */
class TextBuffer {
  #bytes = Buffer.allocUnsafe(64 * 1024);
  #length = 0;

  /** Adds text without characters beyond latin1. */
  add(text: string): void {
    this.#reserve(text.length);
    this.#length += this.#bytes.write(text, this.#length, "latin1");
  }

  addBytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#length + length, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
