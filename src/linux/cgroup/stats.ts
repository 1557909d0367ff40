/** Reads what cgroups count: CPU time, memory, block I/O, processes, OOM kills. */
import { readdirSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import type { CgroupHost, ReadText } from "./host.ts";
import { locateController, readHostText } from "./host.ts";
import { parseCgroupsPath } from "./path.ts";
import type { CurrentLimits } from "./resource-writes.ts";

/** The counters of one block device. */
export interface BlockIoStats {
  major: number;
  minor: number;
  readBytes: number;
  writeBytes: number;
  readOperations: number;
  writeOperations: number;
}

/** A cgroup's counters. Those of a controller that the host does not have are 0 or absent. */
export interface CgroupStats {
  cpu: {
    usageNs: number;
    userNs: number;
    systemNs: number;
    periods: number;
    throttledPeriods: number;
    throttledNs: number;
  };
  memory: {
    usageBytes: number;
    /** Absent if unlimited. */
    limitBytes?: number;
    /** Exists on v2 since Linux 5.19. */
    maxUsageBytes?: number;
    /**
     * The content of memory.stat, as the kernel spells it; bigints where a number would round, such as v1's value for "no limit".
     */
    stat: Record<string, number | bigint>;
  };
  pids: { current: number /** absent if unlimited */; limit?: number };
  io: BlockIoStats[];
}

/** A number of memory.stat: the first of these names that it has, 0 without any. v1 and v2 spell them differently. */
export function memoryStat({ stat }: CgroupStats["memory"], ...names: readonly string[]): number {
  return Number(names.map((name) => stat[name]).find((value) => value !== undefined) ?? 0);
}

/** Memory in use but for what the kernel can take from file caches without a loss. */
export function workingSetBytes(memory: CgroupStats["memory"]): number {
  return Math.max(0, memory.usageBytes - memoryStat(memory, "total_inactive_file", "inactive_file"));
}

/**
 * Parses "key value" lines: memory.stat, cpu.stat, memory.events, memory.oom_control. Other lines are left out. Values above 2^53
 * lose their last digits: nanoseconds do after 104 days of CPU time.
 */
export function parseFlatKeyed(text: string): Record<string, number> {
  const values: Record<string, number> = Object.create(null);
  eachPair(text, (key, value) => {
    values[key] = Number(value);
  });
  return values;
}

function parseExact(text: string): Record<string, number | bigint> {
  const values: Record<string, number | bigint> = Object.create(null);
  eachPair(text, (key, value) => {
    const number = Number(value);
    values[key] = Number.isSafeInteger(number) ? number : BigInt(value);
  });
  return values;
}

/** Calls `take` with the parts of each line that is a word, a space and digits. A regular expression takes four times as long. */
function eachPair(text: string, take: (key: string, value: string) => void): void {
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf("\n", at);
    const end = newline < 0 ? text.length : newline;
    const space = text.indexOf(" ", at);
    if (space > at && space < end && areDigits(text, space + 1, end))
      take(text.slice(at, space), text.slice(space + 1, end));
    at = end + 1;
  }
}

const [DIGIT_0, DIGIT_9] = [48, 57];

function areDigits(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if (code < DIGIT_0 || code > DIGIT_9) return false;
  }
  return from < to;
}

/** Parses one number. "max", blank and anything else is undefined. */
function parseSingle(text: string | undefined): number | undefined {
  const match = /^\s*(\d+)\s*$/.exec(text ?? "");
  return match === null ? undefined : Number(match[1]);
}

/** The least value that means "unlimited" on v1, which writes the largest multiple of the page size below 2^63. */
const UNLIMITED_V1 = 2 ** 62;

/** Parses a limit of memory or tasks: undefined if there is none ("max", or v1's huge number). */
export function parseLimit(text: string | undefined): number | undefined {
  const value = parseSingle(text);
  return value === undefined || value >= UNLIMITED_V1 ? undefined : value;
}

/** Parses v2's io.stat: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0". */
export function parseIoStat(text: string): BlockIoStats[] {
  const stats: BlockIoStats[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d+):(\d+) (.*)$/.exec(line);
    if (match === null) continue;
    const fields = parseFlatKeyed(match[3]!.replaceAll("=", " ").replaceAll(/ (?=[a-z])/g, "\n"));
    stats.push({
      major: Number(match[1]),
      minor: Number(match[2]),
      readBytes: fields.rbytes ?? 0,
      writeBytes: fields.wbytes ?? 0,
      readOperations: fields.rios ?? 0,
      writeOperations: fields.wios ?? 0,
    });
  }
  return stats;
}

/** Parses v1's blkio.throttle.io_service_bytes and io_serviced ("8:0 Read 123"), without their totals. */
export function parseBlkio(serviceBytes: string, serviced: string): BlockIoStats[] {
  const devices = new Map<string, BlockIoStats>();
  const collect = (text: string, read: "readBytes" | "readOperations", write: "writeBytes" | "writeOperations") => {
    for (const line of text.split("\n")) {
      const match = /^(\d+):(\d+) (Read|Write) (\d+)$/.exec(line);
      if (match === null) continue;
      const key = `${match[1]}:${match[2]}`;
      const device = devices.get(key) ?? {
        major: Number(match[1]),
        minor: Number(match[2]),
        readBytes: 0,
        writeBytes: 0,
        readOperations: 0,
        writeOperations: 0,
      };
      device[match[3] === "Read" ? read : write] = Number(match[4]);
      devices.set(key, device);
    }
  };
  collect(serviceBytes, "readBytes", "writeBytes");
  collect(serviced, "readOperations", "writeOperations");
  return [...devices.values()];
}

/** The pids of a cgroup.procs file. 0, a process of another pid namespace, is left out. */
export function parsePids(text: string): number[] {
  return text
    .split("\n")
    .filter((line) => /^[1-9]\d*$/.test(line))
    .map(Number);
}

/**
 * Whether the kernel killed a process of the cgroup for lack of memory. `texts` are those of `CgroupPlan.oomFiles`.
 * v2's memory.events counts the whole subtree, v1's memory.oom_control (oom_kill since Linux 4.13) the cgroup alone.
 */
export function wasOomKilled(texts: readonly string[]): boolean {
  return texts.some((text) => (parseFlatKeyed(text).oom_kill ?? 0) > 0);
}

/**
 * Every process of the cgroup and the cgroups below it, in one hierarchy. A missing cgroup has none. The list is a snapshot:
 * processes come and go while it is read.
 */
export function readPids(directory: string): number[] {
  const pids = parsePids(readProcs(directory));
  for (const child of childDirectories(directory)) pids.push(...readPids(`${directory}/${child}`));
  return pids;
}

/** Reads cgroup.procs. A threaded cgroup has none: its processes are listed in the cgroup above it whose threads it divides. */
function readProcs(directory: string): string {
  try {
    return readHostText(`${directory}/cgroup.procs`) ?? "";
  } catch (error) {
    if (errnoOf(error) === "EOPNOTSUPP") return "";
    throw error;
  }
}

/** The names of the cgroups directly below; none if the cgroup is missing. */
export function childDirectories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    );
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/**
 * The counters of the cgroup `cgroupsPath`. A file that is missing, since the cgroup has gone or the kernel lacks it, reads as 0.
 */
export function readStats(host: CgroupHost, cgroupsPath: string, read: ReadText = readHostText): CgroupStats {
  const path = parseCgroupsPath(cgroupsPath).join("/");
  const open = (controller: string) => {
    const place = locateController(host, controller);
    return {
      version: place?.version ?? 2,
      text: (file: string) => (place === undefined ? undefined : read(`${place.mountPoint}/${path}/${file}`)),
    };
  };
  return {
    cpu: readCpu(open),
    memory: readMemory(open("memory")),
    pids: readPidsStats(open("pids")),
    io: readIo(open("blkio")),
  };
}

interface Files {
  version: 1 | 2;
  text: (file: string) => string | undefined;
}

function readCpu(open: (controller: string) => Files): CgroupStats["cpu"] {
  const cpu = open("cpu");
  const stat = parseFlatKeyed(cpu.text("cpu.stat") ?? "");
  const bandwidth = { periods: stat.nr_periods ?? 0, throttledPeriods: stat.nr_throttled ?? 0 };
  if (cpu.version === 2)
    return {
      usageNs: (stat.usage_usec ?? 0) * 1000,
      userNs: (stat.user_usec ?? 0) * 1000,
      systemNs: (stat.system_usec ?? 0) * 1000,
      ...bandwidth,
      throttledNs: (stat.throttled_usec ?? 0) * 1000,
    };
  const account = open("cpuacct");
  return {
    usageNs: parseSingle(account.text("cpuacct.usage")) ?? 0,
    userNs: parseSingle(account.text("cpuacct.usage_user")) ?? 0, // since Linux 4.6
    systemNs: parseSingle(account.text("cpuacct.usage_sys")) ?? 0,
    ...bandwidth,
    throttledNs: stat.throttled_time ?? 0,
  };
}

const MEMORY_FILES = {
  1: {
    usage: "memory.usage_in_bytes",
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    swapUsage: "memory.memsw.usage_in_bytes", // includes what is not swapped out
    swapLimit: "memory.memsw.limit_in_bytes",
  },
  2: {
    ...{ usage: "memory.current", limit: "memory.max", peak: "memory.peak" },
    ...{ swapUsage: "memory.swap.current", swapLimit: "memory.swap.max" },
  },
} as const;

function readMemory({ version, text }: Files): CgroupStats["memory"] {
  const files = MEMORY_FILES[version];
  const limitBytes = parseLimit(text(files.limit));
  const maxUsageBytes = parseSingle(text(files.peak));
  return {
    usageBytes: parseSingle(text(files.usage)) ?? 0,
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(maxUsageBytes === undefined ? {} : { maxUsageBytes }),
    stat: parseExact(text("memory.stat") ?? ""),
  };
}

function readPidsStats({ text }: Files): CgroupStats["pids"] {
  const limit = parseLimit(text("pids.max"));
  return { current: parseSingle(text("pids.current")) ?? 0, ...(limit === undefined ? {} : { limit }) };
}

function readIo({ version, text }: Files): BlockIoStats[] {
  if (version === 2) return parseIoStat(text("io.stat") ?? "");
  return parseBlkio(
    text("blkio.throttle.io_service_bytes_recursive") ?? "",
    text("blkio.throttle.io_serviced_recursive") ?? "",
  );
}

/** CPU time per CPU, in nanoseconds. Undefined on v2, which does not count it. */
export function readPerCpuUsage(
  host: CgroupHost,
  cgroupsPath: string,
  read: ReadText = readHostText,
): number[] | undefined {
  const place = locateController(host, "cpuacct");
  if (place?.version !== 1) return undefined;
  const text = read(`${place.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}/cpuacct.usage_percpu`);
  return text?.match(/\d+/g)?.map(Number) ?? [];
}

/** Swap of a cgroup. */
export interface SwapStats {
  usageBytes: number;
  /** Absent if unlimited. */
  limitBytes?: number;
}

/** The swap that the cgroup uses; undefined if the kernel does not count it. Source: cgroup-v2.rst, cgroup-v1/memory.rst. */
export function readSwap(host: CgroupHost, cgroupsPath: string, read: ReadText = readHostText): SwapStats | undefined {
  const place = locateController(host, "memory");
  if (place === undefined) return undefined;
  const number = (file: string, parse: (text: string | undefined) => number | undefined) =>
    parse(read(`${place.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}/${file}`));
  const { swapUsage, swapLimit, usage, limit } = MEMORY_FILES[place.version];
  const used = number(swapUsage, parseSingle);
  const most = number(swapLimit, parseLimit);
  if (used === undefined) return undefined;
  // v1 counts memory and swap together.
  const [ofMemory, limitOfMemory] =
    place.version === 2 ? [0, 0] : [number(usage, parseSingle), number(limit, parseLimit)];
  return {
    usageBytes: Math.max(0, used - (ofMemory ?? 0)),
    ...(most === undefined ? {} : { limitBytes: Math.max(0, most - (limitOfMemory ?? 0)) }),
  };
}

/** How often the cgroup asked for memory beyond its limit. */
export function readMemoryFailures(
  host: CgroupHost,
  cgroupsPath: string,
  read: ReadText = readHostText,
): number | undefined {
  const place = locateController(host, "memory");
  if (place === undefined) return undefined;
  const text = (file: string) => read(`${place.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}/${file}`);
  return place.version === 1 ? parseSingle(text("memory.failcnt")) : parseFlatKeyed(text("memory.events") ?? "").oom;
}

/** How often the kernel killed a process of the cgroup for lack of memory; undefined if it does not tell. */
export function readOomKills(host: CgroupHost, cgroupsPath: string, read: ReadText = readHostText): number | undefined {
  const place = locateController(host, "memory");
  if (place === undefined) return undefined;
  const file = place.version === 1 ? "memory.oom_control" : "memory.events";
  return parseFlatKeyed(read(`${place.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}/${file}`) ?? "").oom_kill;
}

/** The processes of the cgroup alone. */
export function readProcessIds(host: CgroupHost, cgroupsPath: string, read: ReadText = readHostText): number[] {
  const place = locateController(host, "pids");
  if (place === undefined) return [];
  return parsePids(read(`${place.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}/cgroup.procs`) ?? "");
}

/** The limits of a live cgroup that `planUpdate` needs to know. */
export function readCurrentLimits(host: CgroupHost, cgroupsPath: string, read: ReadText = readHostText): CurrentLimits {
  const path = parseCgroupsPath(cgroupsPath).join("/");
  const current: CurrentLimits = {};
  const memory = locateController(host, "memory");
  if (memory !== undefined) {
    const files = MEMORY_FILES[memory.version];
    const limit = read(`${memory.mountPoint}/${path}/${files.limit}`);
    if (limit !== undefined) current.memoryLimitBytes = parseLimit(limit) ?? -1;
    const usage = parseSingle(read(`${memory.mountPoint}/${path}/${files.usage}`));
    if (usage !== undefined) current.memoryUsageBytes = usage;
    const swap = parseSingle(read(`${memory.mountPoint}/${path}/${files.swapUsage}`));
    if (swap !== undefined) current.memorySwapUsageBytes = memory.version === 1 ? swap : swap + (usage ?? 0);
  }
  const cpu = locateController(host, "cpu");
  if (cpu !== undefined) {
    const text = read(`${cpu.mountPoint}/${path}/${cpu.version === 1 ? "cpu.cfs_quota_us" : "cpu.max"}`);
    // The file says "50000 100000", "max 100000" or, on v1, "-1".
    if (text !== undefined) current.cpuQuotaUs = parseSingle(text.split(" ")[0]) ?? -1;
  }
  return current;
}
