/** What a cgroup counts, as kubelet wants it: CPU time and how much of it now, memory that cannot be taken away, swap, waits. */
import { nowNs } from "../../base/time.ts";
import { type CgroupDetails, memoryStat, type StatsSample, workingSetBytes } from "../../engine/mod.ts";

type Counters = StatsSample["cgroup"];

const value = (number: number) => ({ value: Math.max(0, Math.round(number)) });

/** The last CPU time of whatever has one, by which the present use is told. */
const earlier = new WeakMap<object, { atNs: bigint; usageNs: number; coresNano: number }>();
/** Two looks that are closer together than this say little: the answer is the one before. */
const APART_NS = 1_000_000_000n;

/** CPU time of `owner`, and billionths of a core used since the last time somebody asked; 0 the first time. */
export function cpuUsage(owner: object, { cpu }: Counters, { pressure }: CgroupDetails) {
  const atNs = nowNs();
  const before = earlier.get(owner);
  const passedNs = before === undefined ? 0n : atNs - before.atNs;
  let coresNano = before?.coresNano ?? 0;
  if (before === undefined || passedNs >= APART_NS) {
    coresNano = before === undefined ? 0 : (Math.max(0, cpu.usageNs - before.usageNs) / Number(passedNs)) * 1e9;
    earlier.set(owner, { atNs, usageNs: cpu.usageNs, coresNano });
  }
  const usage = { usageCoreNanoSeconds: value(cpu.usageNs), usageNanoCores: value(coresNano) };
  return { timestamp: atNs, ...usage, ...psi(pressure?.cpu) };
}

/** Memory in use. */
export function memoryUsage({ memory }: Counters, { pressure }: CgroupDetails) {
  const { usageBytes, limitBytes } = memory;
  const of = (...names: readonly string[]) => value(memoryStat(memory, ...names));
  const workingSet = workingSetBytes(memory);
  return {
    timestamp: nowNs(),
    workingSetBytes: value(workingSet),
    ...(limitBytes === undefined ? {} : { availableBytes: value(limitBytes - workingSet) }),
    usageBytes: value(usageBytes),
    rssBytes: of("total_rss", "anon"),
    pageFaults: of("total_pgfault", "pgfault"),
    majorPageFaults: of("total_pgmajfault", "pgmajfault"),
    ...psi(pressure?.memory),
  };
}

/** Waits for I/O; undefined where the kernel does not tell. */
export function ioUsage({ pressure }: CgroupDetails) {
  return pressure && { timestamp: nowNs(), ...psi(pressure.io) };
}

/** Swap in use; undefined where the kernel does not count it. */
export function swapUsage({ swap }: CgroupDetails) {
  if (swap === undefined) return undefined;
  const { usageBytes, limitBytes } = swap;
  return {
    timestamp: nowNs(),
    ...(limitBytes === undefined ? {} : { swapAvailableBytes: value(limitBytes - usageBytes) }),
    swapUsageBytes: value(usageBytes),
  };
}

type Pressure = NonNullable<CgroupDetails["pressure"]>["cpu"];

function psi(pressure: Pressure | undefined) {
  const data = ({ totalUs, ...averages }: Pressure["some"]) => ({ total: totalUs * 1000, ...averages });
  return pressure && { psi: { some: data(pressure.some), full: data(pressure.full) } };
}

/** The counters of a pod's interfaces; eth0, or whichever is first, is the default one, and not among the others. */
export function networkUsage(interfaces: StatsSample["interfaces"]) {
  if (interfaces === undefined) return undefined;
  const all = interfaces.map(({ name, rxBytes, rxErrors, txBytes, txErrors }) => ({
    name,
    rxBytes: value(rxBytes),
    rxErrors: value(rxErrors),
    txBytes: value(txBytes),
    txErrors: value(txErrors),
  }));
  const defaultInterface = all.find(({ name }) => name === "eth0") ?? all[0];
  const others = all.filter((each) => each !== defaultInterface);
  return { timestamp: nowNs(), ...(defaultInterface && { defaultInterface }), interfaces: others };
}
