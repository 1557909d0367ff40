/** Reads what the whole host uses at one moment. */
import { readFileSync, statfsSync } from "node:fs";
import { readHostPressure } from "../../linux/cgroup/mod.ts";
import { parseNetDev } from "./net-dev.ts";

export interface HostSample {
  cpu: { busyTicks: number; allTicks: number; count: number };
  load: number;
  memory: { usedBytes: number; totalBytes: number; swapBytes: number };
  disk: { usedBytes: number; totalBytes: number };
  /** The bytes of all interfaces that are no container's and no bridge. */
  network: { rxBytes: number; txBytes: number };
  /** The share of the last ten seconds in which some task waited, in percent; undefined if the kernel does not tell. */
  pressure: { cpu: number; memory: number; io: number } | undefined;
}

/** Reads a sample. `directory`: the disk that counts is the one which it is on. */
export function sampleHost(directory: string): HostSample {
  return {
    cpu: parseBusyTicks(readText("/proc/stat")),
    load: Number.parseFloat(readText("/proc/loadavg")) || 0,
    memory: parseMemory(readText("/proc/meminfo")),
    disk: readDisk(directory),
    network: sumInterfaces(readText("/proc/net/dev")),
    pressure: readPressure(),
  };
}

/** Parses /proc/stat: the time that passed and the part that was not idle. Source: proc_stat(5). */
export function parseBusyTicks(text: string): HostSample["cpu"] {
  const [, fields = ""] = /^cpu\s+(.*)$/m.exec(text) ?? [];
  const ticks = fields.trim().split(/\s+/).slice(0, 8).map(Number);
  const allTicks = ticks.reduce((sum, count) => sum + count, 0);
  const idleTicks = (ticks[3] ?? 0) + (ticks[4] ?? 0);
  return { allTicks, busyTicks: allTicks - idleTicks, count: text.match(/^cpu\d+ /gm)?.length ?? 0 };
}

/** Parses /proc/meminfo. What the kernel could free at once does not count as used. Source: proc_meminfo(5). */
export function parseMemory(text: string): HostSample["memory"] {
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? 0) * 1024;
  const totalBytes = bytes("MemTotal");
  return {
    totalBytes,
    usedBytes: totalBytes - bytes("MemAvailable"),
    swapBytes: bytes("SwapTotal") - bytes("SwapFree"),
  };
}

function readDisk(directory: string): HostSample["disk"] {
  const { bsize, blocks, bfree } = statfsSync(directory);
  return { totalBytes: blocks * bsize, usedBytes: (blocks - bfree) * bsize };
}

/** The names of interfaces that carry what others have carried already: bridges, and the host's ends of containers'. */
const INNER_INTERFACE = /^(docker|br-|veth|lighter|lt)/;

function sumInterfaces(text: string): HostSample["network"] {
  const outer = parseNetDev(text).filter(({ name }) => !INNER_INTERFACE.test(name));
  return {
    rxBytes: outer.reduce((sum, { rxBytes }) => sum + rxBytes, 0),
    txBytes: outer.reduce((sum, { txBytes }) => sum + txBytes, 0),
  };
}

function readPressure(): HostSample["pressure"] {
  const pressure = readHostPressure();
  return pressure && { cpu: pressure.cpu.some.avg10, memory: pressure.memory.some.avg10, io: pressure.io.some.avg10 };
}

/** Reads a file; "" if the kernel has no such file. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
