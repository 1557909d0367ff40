/** What limits a container, beside what it uses of that: from the files of both versions of cgroups. */
import type { Anatomy } from "../spec/anatomy.ts";

export interface Limit {
  what: "Memory" | "Memory and swap" | "Processes and threads" | "CPUs";
  /** Undefined: the file does not say it. */
  use: number | undefined;
  /** Infinity: none. */
  limit: number;
}

/** Version 1 writes "none" as the largest number of pages; a limit beyond this is none. */
const NONE_FROM = 2 ** 60;

export function limitsOf(cgroups: Anatomy["cgroups"]): Limit[] {
  const values = new Map(cgroups.flatMap(({ values }) => values.map(({ file, value }) => [file, value])));
  const number = (...files: string[]) => {
    const text = files.map((file) => values.get(file)).find((value) => value !== undefined);
    if (text === undefined) return undefined;
    const value = text === "max" ? Number.POSITIVE_INFINITY : Number(text);
    return value >= NONE_FROM ? Number.POSITIVE_INFINITY : value;
  };
  const memory = number("memory.max", "memory.limit_in_bytes");
  const memoryUse = number("memory.current", "memory.usage_in_bytes");
  // Version 2 counts swap apart.
  const swap = number("memory.swap.max");
  const both = swap === undefined ? number("memory.memsw.limit_in_bytes") : (memory ?? 0) + swap;
  const swapUse = number("memory.swap.current");
  const bothUse = swapUse === undefined ? number("memory.memsw.usage_in_bytes") : (memoryUse ?? 0) + swapUse;
  const pids = number("pids.max");
  const cpus = cpusOf(values);
  return [
    ...(memory === undefined ? [] : [{ what: "Memory" as const, use: memoryUse, limit: memory }]),
    ...(both === undefined || !Number.isFinite(both)
      ? []
      : [{ what: "Memory and swap" as const, use: bothUse, limit: both }]),
    ...(pids === undefined
      ? []
      : [{ what: "Processes and threads" as const, use: number("pids.current"), limit: pids }]),
    ...(cpus === undefined ? [] : [{ what: "CPUs" as const, use: undefined, limit: cpus }]),
  ];
}

/** The time that it may have on CPUs, in CPUs. */
function cpusOf(values: ReadonlyMap<string, string>): number | undefined {
  const [quota = "", period = ""] = values.get("cpu.max")?.split(" ") ?? [
    values.get("cpu.cfs_quota_us"),
    values.get("cpu.cfs_period_us"),
  ];
  if (period === "" || quota === "") return undefined;
  return quota === "max" || Number(quota) < 0 ? Number.POSITIVE_INFINITY : Number(quota) / Number(period);
}
