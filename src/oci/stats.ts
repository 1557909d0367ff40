/**
 * A container's statistics as `runc events` prints them and containerd's go-runc reads them. Names, order and the omission of
 * zeros are runc's (types/events.go, 1.1). Numbers are u64, so they are bigint.
 */
import { type CgroupHost, locateController, type ReadText, readHostText } from "../linux/cgroup/mod.ts";

type Json = bigint | number | string | null | Json[] | { [key: string]: Json };

/** runc's value for "no limit" on v2. */
const NO_LIMIT = 2n ** 64n - 1n;
const NANOSECONDS_PER_MICROSECOND = 1000n;
/** The length of a tick: USER_HZ is 100 on all supported architectures. */
const NANOSECONDS_PER_TICK = 10_000_000n;

/** The `data` of an event of type "stats". Missing files read as 0. */
export function readRuntimeStats(host: CgroupHost, cgroupsPath: string, read: ReadText = readHostText): Json {
  const open = (controller: string) => {
    const place = locateController(host, controller);
    const directory = `${place?.mountPoint}${cgroupsPath}`;
    return new Files(place?.version ?? 2, (file) => (place === undefined ? undefined : read(`${directory}/${file}`)));
  };
  return {
    cpu: cpuOf(open("cpu"), open("cpuacct")),
    cpuset: cpusetOf(open("cpuset")),
    memory: memoryOf(open("memory")),
    pids: pidsOf(open("pids")),
    blkio: blkioOf(open("blkio")),
    hugetlb: hugetlbOf(open("hugetlb"), read),
    intel_rdt: {},
    network_interfaces: null,
  };
}

class Files {
  constructor(
    readonly version: 1 | 2,
    readonly text: (file: string) => string | undefined,
  ) {}

  /** The file's number; `NO_LIMIT` for "max", 0 for anything else. */
  number(file: string): bigint {
    const text = this.text(file)?.trim() ?? "";
    if (text === "max") return NO_LIMIT;
    return /^\d+$/.test(text) ? BigInt(text) : 0n;
  }

  /** The file's lines of the form "key value". */
  keyed(file: string): Record<string, bigint> {
    const lines = (this.text(file) ?? "").split("\n").map((line) => /^(\S+) (\d+)$/.exec(line));
    return Object.fromEntries(lines.flatMap((match) => (match ? [[match[1]!, BigInt(match[2]!)]] : [])));
  }

  numbers(file: string): bigint[] {
    return ((this.text(file) ?? "").match(/\d+/g) ?? []).map(BigInt);
  }
}

/** Leaves out empty values, as Go's "omitempty" does. */
function withoutEmpty(fields: { [key: string]: Json }): { [key: string]: Json } {
  const isEmpty = (value: Json) => value === 0n || value === "" || (Array.isArray(value) && value.length === 0);
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value)));
}

function cpuOf(cpu: Files, cpuacct: Files): Json {
  const stat = cpu.keyed("cpu.stat");
  const periods = { periods: stat.nr_periods ?? 0n, throttledPeriods: stat.nr_throttled ?? 0n };
  if (cpu.version === 2) {
    const nanoseconds = (key: string) => (stat[key] ?? 0n) * NANOSECONDS_PER_MICROSECOND;
    const total = withoutEmpty({ total: nanoseconds("usage_usec") });
    const usage = { ...total, kernel: nanoseconds("system_usec"), user: nanoseconds("user_usec") };
    const throttling = withoutEmpty({ ...periods, throttledTime: nanoseconds("throttled_usec") });
    const psi = psiOf(cpu, "cpu.pressure");
    return psi === undefined ? { usage, throttling } : { usage, throttling, psi };
  }
  const ticks = cpuacct.keyed("cpuacct.stat");
  // The file has the heading "cpu user system", then a line for each CPU.
  const all = (cpuacct.text("cpuacct.usage_all") ?? "")
    .split("\n")
    .slice(1)
    .map((line) => /^\d+ (\d+) (\d+)$/.exec(line))
    .filter((match) => match !== null);
  return {
    usage: {
      ...withoutEmpty({
        total: cpuacct.number("cpuacct.usage"),
        percpu: cpuacct.numbers("cpuacct.usage_percpu"),
        percpu_kernel: all.map((match) => BigInt(match[2]!)),
        percpu_user: all.map((match) => BigInt(match[1]!)),
      }),
      kernel: (ticks.system ?? 0n) * NANOSECONDS_PER_TICK,
      user: (ticks.user ?? 0n) * NANOSECONDS_PER_TICK,
    },
    throttling: withoutEmpty({ ...periods, throttledTime: stat.throttled_time ?? 0n }),
  };
}

/** The cpuset's values, which only v1 has; on v2 they are runc's zeros, for readers that expect the fields. */
function cpusetOf(files: Files): Json {
  const isV1 = files.version === 1;
  const list = (file: string): bigint[] => (isV1 ? expandList(files.text(file) ?? "") : []);
  const number = (file: string): bigint => (isV1 ? files.number(`cpuset.${file}`) : 0n);
  const relax = isV1 ? files.text("cpuset.sched_relax_domain_level")?.trim() : undefined;
  return {
    ...withoutEmpty({ cpus: list("cpuset.cpus") }),
    cpu_exclusive: number("cpu_exclusive"),
    ...withoutEmpty({ mems: list("cpuset.mems") }),
    mem_hardwall: number("mem_hardwall"),
    mem_exclusive: number("mem_exclusive"),
    memory_migrate: number("memory_migrate"),
    memory_spread_page: number("memory_spread_page"),
    memory_spread_slab: number("memory_spread_slab"),
    memory_pressure: number("memory_pressure"),
    sched_load_balance: number("sched_load_balance"),
    sched_relax_domain_level: /^-?\d+$/.test(relax ?? "") ? BigInt(relax!) : 0n,
  };
}

/** The numbers of a list: "0-2,8" gives 0, 1, 2, 8. */
function expandList(text: string): bigint[] {
  const ranges = text.trim().split(",");
  return ranges.flatMap((range) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    if (match === null) return [];
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    return Array.from({ length: last - first + 1 }, (_, index) => BigInt(first + index));
  });
}

function memoryEntry(limit: bigint, usage: bigint, max: bigint, failcnt: bigint): Json {
  return { limit, ...withoutEmpty({ usage, max }), failcnt };
}

function memoryOf(files: Files): Json {
  const raw = files.keyed("memory.stat");
  const sorted = Object.fromEntries(Object.entries(raw).sort(([a], [b]) => (a < b ? -1 : 1)));
  const rest = Object.keys(raw).length === 0 ? {} : { raw: sorted };
  if (files.version === 1) {
    const entry = (name: string) => {
      const [usage, max, failcnt, limit] = ["usage_in_bytes", "max_usage_in_bytes", "failcnt", "limit_in_bytes"].map(
        (file) => files.number(`memory.${name}${file}`),
      );
      return memoryEntry(limit!, usage!, max!, failcnt!);
    };
    return {
      ...withoutEmpty({ cache: raw.cache ?? 0n }),
      usage: entry(""),
      swap: entry("memsw."),
      kernel: entry("kmem."),
      kernelTCP: entry("kmem.tcp."),
      ...rest,
    };
  }
  const events = files.keyed("memory.events");
  const [usage, limit] = [files.number("memory.current"), files.number("memory.max")];
  const swapLimit = files.number("memory.swap.max");
  // As on v1, the value is memory and swap together.
  const swapAndMemory = swapLimit === NO_LIMIT || limit === NO_LIMIT ? NO_LIMIT : swapLimit + limit;
  const none = memoryEntry(0n, 0n, 0n, 0n);
  const psi = psiOf(files, "memory.pressure");
  return {
    ...withoutEmpty({ cache: raw.file ?? 0n }),
    usage: memoryEntry(limit, usage, files.number("memory.peak"), events.max ?? 0n),
    swap: memoryEntry(swapAndMemory, usage + files.number("memory.swap.current"), 0n, 0n),
    kernel: none,
    kernelTCP: none,
    ...rest,
    ...(psi === undefined ? {} : { psi }),
  };
}

function pidsOf(files: Files): Json {
  const limit = files.number("pids.max");
  return withoutEmpty({ current: files.number("pids.current"), limit: limit === NO_LIMIT ? 0n : limit });
}

/** The sources in their order. The first that exists and has lines is used; all its tables are printed. */
const BLKIO_V1: readonly { files: string; tables: Readonly<Record<string, string>> }[] = [
  {
    files: "blkio.bfq.",
    tables: {
      ioServiceBytesRecursive: "io_service_bytes_recursive",
      ioServicedRecursive: "io_serviced_recursive",
      ioQueueRecursive: "io_queued_recursive",
      ioServiceTimeRecursive: "io_service_time_recursive",
      ioWaitTimeRecursive: "io_wait_time_recursive",
      ioMergedRecursive: "io_merged_recursive",
      ioTimeRecursive: "time_recursive",
      sectorsRecursive: "sectors_recursive",
    },
  },
  {
    files: "blkio.throttle.",
    tables: { ioServiceBytesRecursive: "io_service_bytes_recursive", ioServicedRecursive: "io_serviced_recursive" },
  },
  {
    files: "blkio.throttle.",
    tables: { ioServiceBytesRecursive: "io_service_bytes", ioServicedRecursive: "io_serviced" },
  },
];

function blkioEntry(major: string, minor: string, op: string, value: string): Json {
  return withoutEmpty({ major: BigInt(major), minor: BigInt(minor), op, value: BigInt(value) });
}

function blkioOf(files: Files): Json {
  if (files.version === 2) return blkioOfV2(files);
  for (const source of BLKIO_V1) {
    const tables = Object.entries(source.tables).map(([name, file]) => [
      name,
      parseBlkioTable(files.text(`${source.files}${file}`) ?? ""),
    ]);
    const found = withoutEmpty(Object.fromEntries(tables));
    if (Object.keys(found).length > 0) return found;
  }
  return {};
}

/** Parses "8:0 Read 123" and "8:0 123"; the last line, a total, is left out. */
function parseBlkioTable(text: string): Json[] {
  const lines = text.split("\n").map((line) => /^(\d+):(\d+)(?: (\w+))? (\d+)$/.exec(line));
  return lines.flatMap((match) => (match ? [blkioEntry(match[1]!, match[2]!, match[3] ?? "", match[4]!)] : []));
}

/** Converts io.stat's "8:0 rbytes=1 wbytes=2 rios=3 wios=4" to v1's form: a table of bytes and one of operations. */
function blkioOfV2(files: Files): Json {
  const table = (read: string, write: string): Json[] =>
    (files.text("io.stat") ?? "").split("\n").flatMap((line) => {
      const device = /^(\d+):(\d+) /.exec(line);
      if (device === null) return [];
      return [...line.matchAll(/(\w+)=(\d+)/g)].flatMap(([, key, value]) => {
        const op = key === read ? "Read" : key === write ? "Write" : undefined;
        return op === undefined ? [] : [blkioEntry(device[1]!, device[2]!, op, value!)];
      });
    });
  const psi = psiOf(files, "io.pressure");
  return {
    ...withoutEmpty({ ioServiceBytesRecursive: table("rbytes", "wbytes"), ioServicedRecursive: table("rios", "wios") }),
    ...(psi === undefined ? {} : { psi }),
  };
}

/** The statistics of huge pages by page size: "2MB". The sizes are those in /sys/kernel/mm/hugepages. */
function hugetlbOf(files: Files, read: ReadText): Json {
  const sizes = hugePageSizes(read).filter((size) => files.text(`hugetlb.${size}.${usageFile(files)}`) !== undefined);
  const entries = sizes.map((size) => {
    const prefix = `hugetlb.${size}.`;
    const usage = files.number(`${prefix}${usageFile(files)}`);
    const isV1 = files.version === 1;
    const max = isV1 ? files.number(`${prefix}max_usage_in_bytes`) : 0n;
    const failcnt = isV1 ? files.number(`${prefix}failcnt`) : (files.keyed(`${prefix}events`).max ?? 0n);
    return [size, { ...withoutEmpty({ usage, max }), failcnt }];
  });
  return Object.fromEntries(entries);
}

function usageFile({ version }: Files): string {
  return version === 1 ? "usage_in_bytes" : "current";
}

/** The sizes that exist on any architecture: they are few enough to ask for each. */
function hugePageSizes(read: ReadText): string[] {
  const sizesKb = [64, 1024, 2048, 16384, 32768, 262144, 524288, 1048576, 2097152, 16777216];
  const there = sizesKb.filter((kb) => read(`/sys/kernel/mm/hugepages/hugepages-${kb}kB/nr_hugepages`) !== undefined);
  const name = (kb: number) => (kb < 1024 ? `${kb}KB` : kb < 1048576 ? `${kb / 1024}MB` : `${kb / 1048576}GB`);
  return there.map(name);
}

/** Parses "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and the line "full". Kernels may lack the file. */
function psiOf(files: Files, file: string): Json | undefined {
  const text = files.text(file);
  if (text === undefined) return undefined;
  const entry = (kind: string): Json => {
    const match = new RegExp(`^${kind} avg10=([\\d.]+) avg60=([\\d.]+) avg300=([\\d.]+) total=(\\d+)$`, "m").exec(text);
    const average = (index: number) => Number(match?.[index] ?? 0);
    return { avg10: average(1), avg60: average(2), avg300: average(3), total: BigInt(match?.[4] ?? 0) };
  };
  return { some: entry("some"), full: entry("full") };
}
