/** Checks a container's limits and turns them into resources of the runtime-spec. */
import { INT64_MAX_NUMBER } from "../../base/int64.ts";
import { CPUSET_MAX_NUMBER } from "../../base/limits.ts";
import type { DockerHostConfig, DockerThrottleDevice } from "../../spec/docker-api.ts";
import type { OciDeviceRule, OciProcess, OciResources, OciThrottle } from "../../spec/oci-runtime.ts";
import { invalid } from "./errors.ts";
import type { HostFacts, HostProbe } from "./host.ts";

/** The least memory that Docker allows: less is hardly enough to start a container in. */
const MIN_MEMORY_BYTES = 6 * 1024 * 1024;
const NANO_PER_CPU = 1e9;
/** The value of cpu.cfs_period_us when only NanoCpus is given. */
const DEFAULT_CPU_PERIOD_US = 100_000;

/**
 * Checks the limits and drops those that this kernel's cgroups lack, with Docker's warnings; a MemorySwap that is not given
 * becomes twice the memory. Returns a changed copy.
 * @throws LighterError "invalid", with Docker's texts.
 */
export function prepareResources(
  given: DockerHostConfig,
  host: HostFacts,
  leastMemoryBytes = MIN_MEMORY_BYTES,
): { hostConfig: DockerHostConfig; warnings: string[] } {
  const hostConfig = { ...given };
  const warnings: string[] = [];
  if ((given.Memory ?? 0) !== 0 && (given.Memory ?? 0) < leastMemoryBytes)
    throw invalid("Minimum memory limit allowed is 6MB");
  prepareMemory(hostConfig, host, warnings);
  prepareCpu(hostConfig, host, warnings);
  prepareBlockIo(hostConfig, host, warnings);
  const pidsLimit = hostConfig.PidsLimit ?? 0;
  if (pidsLimit > 0 && !host.cgroup.pidsLimit)
    warnings.push(
      "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
    );
  if (pidsLimit <= 0 || !host.cgroup.pidsLimit) hostConfig.PidsLimit = null;
  const oomScoreAdj = hostConfig.OomScoreAdj ?? 0;
  if (oomScoreAdj < -1000 || oomScoreAdj > 1000)
    throw invalid(`Invalid value ${oomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  return { hostConfig, warnings };
}

function prepareMemory(hostConfig: DockerHostConfig, { cgroup }: HostFacts, warnings: string[]): void {
  const memory = hostConfig.Memory ?? 0;
  const reservation = hostConfig.MemoryReservation ?? 0;
  const swap = hostConfig.MemorySwap ?? 0;
  if (swap < -1) throw invalid(`Invalid value ${swap} for MemorySwap: use -1 for unlimited swap`);
  if (memory > 0 && swap > 0 && swap < memory)
    throw invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
  if (memory === 0 && swap > 0)
    throw invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
  if (memory > 0 && !cgroup.memoryLimit) {
    warnings.push(
      "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
    );
    hostConfig.Memory = 0;
    hostConfig.MemorySwap = -1;
  } else if (memory > 0 && swap !== -1 && !cgroup.swapLimit) {
    warnings.push(
      "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    );
    hostConfig.MemorySwap = -1;
  } else if (memory > 0 && swap === 0) hostConfig.MemorySwap = Math.min(memory * 2, INT64_MAX_NUMBER);

  // Old clients sent -1 for "not given".
  if (hostConfig.MemorySwappiness === -1) hostConfig.MemorySwappiness = null;
  const swappiness = hostConfig.MemorySwappiness;
  if (swappiness != null && !cgroup.memorySwappiness) {
    warnings.push(
      "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
    );
    hostConfig.MemorySwappiness = null;
  } else if (swappiness != null && (swappiness < 0 || swappiness > 100))
    throw invalid(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);

  if (reservation < 0 || (reservation > 0 && reservation < MIN_MEMORY_BYTES))
    throw invalid("Minimum memory reservation allowed is 6MB");
  if (memory > 0 && reservation > memory)
    throw invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
  if (reservation > 0 && !cgroup.memoryReservation) {
    warnings.push(
      "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
    );
    hostConfig.MemoryReservation = 0;
  }

  if (!cgroup.oomKillDisable) {
    if (hostConfig.OomKillDisable)
      warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    hostConfig.OomKillDisable = null;
  } else {
    hostConfig.OomKillDisable ??= false;
    if (hostConfig.OomKillDisable && (hostConfig.Memory ?? 0) === 0)
      warnings.push(
        "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
      );
  }
}

function prepareCpu(hostConfig: DockerHostConfig, host: HostFacts, warnings: string[]): void {
  const { cgroup } = host;
  const nanoCpus = hostConfig.NanoCpus ?? 0;
  const period = hostConfig.CpuPeriod ?? 0;
  const quota = hostConfig.CpuQuota ?? 0;
  const shares = hostConfig.CpuShares ?? 0;
  if (nanoCpus > 0 && period > 0) throw invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  if (nanoCpus > 0 && quota > 0) throw invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  if (nanoCpus > 0 && !cgroup.cpuCfs)
    throw invalid(
      "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
    );
  const cpuCount = parseNumberList(host.cpus)?.size ?? 1;
  if (nanoCpus < 0 || nanoCpus > cpuCount * NANO_PER_CPU)
    throw invalid(`Range of CPUs is from 0.01 to ${cpuCount}.00, as there are only ${cpuCount} CPUs available`);
  // Docker passes these three on, and the runtime fails at the start.
  if (shares < 0) throw invalid("shares: invalid argument");
  if (shares === 1) throw invalid("the minimum allowed cpu-shares is 2");
  if (shares > 262144) throw invalid("the maximum allowed cpu-shares is 262144");
  if (shares > 0 && !cgroup.cpuShares) {
    warnings.push("Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.");
    hostConfig.CpuShares = 0;
  }
  if ((period !== 0 || quota !== 0) && !cgroup.cpuCfs) {
    warnings.push("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.");
    hostConfig.CpuPeriod = 0;
    hostConfig.CpuQuota = 0;
  } else {
    if (period !== 0 && (period < 1000 || period > 1_000_000))
      throw invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    if (quota > 0 && quota < 1000) throw invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  }
  const realtimeRuntime = hostConfig.CpuRealtimeRuntime ?? 0;
  const realtimePeriod = hostConfig.CpuRealtimePeriod ?? 0;
  if (realtimeRuntime !== 0 || realtimePeriod !== 0) {
    if (!cgroup.cpuRealtime) throw invalid("kernel does not support CPU real-time scheduler");
    if (realtimePeriod !== 0 && realtimeRuntime > realtimePeriod)
      throw invalid("cpu real-time runtime cannot be higher than cpu real-time period");
  }
  if ((hostConfig.CpuPercent ?? 0) > 0) {
    warnings.push("linux does not support CPU percent. Percent discarded.");
    hostConfig.CpuPercent = 0;
  }
  prepareCpuset(hostConfig, host, warnings);
}

function prepareCpuset(hostConfig: DockerHostConfig, host: HostFacts, warnings: string[]): void {
  if ((hostConfig.CpusetCpus || hostConfig.CpusetMems) && !host.cgroup.cpuset) {
    warnings.push("Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.");
    hostConfig.CpusetCpus = "";
    hostConfig.CpusetMems = "";
  }
  for (const [given, available, name, what] of [
    [hostConfig.CpusetCpus, host.cpus, "cpus", "CPUs"],
    [hostConfig.CpusetMems, host.memoryNodes, "mems", "memory nodes"],
  ] as const) {
    if (!given) continue;
    const wanted = parseNumberList(given);
    if (wanted === undefined) throw invalid(`Invalid value ${given} for cpuset ${name}: invalid format: ${given}`);
    const there = parseNumberList(available) ?? new Set();
    if ([...wanted].some((number) => !there.has(number)))
      throw invalid(`Requested ${what} are not available - requested ${given}, available: ${available}`);
  }
}

/** Parses "0-3,7" to numbers; undefined if malformed. Source: cpuset(7), "List format". */
export function parseNumberList(text: string): Set<number> | undefined {
  const numbers = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^([0-9]{1,6})(?:-([0-9]{1,6}))?$/.exec(part);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first || last > CPUSET_MAX_NUMBER) return undefined;
    for (let number = first; number <= last; number++) numbers.add(number);
  }
  return numbers;
}

function prepareBlockIo(hostConfig: DockerHostConfig, { cgroup }: HostFacts, warnings: string[]): void {
  const weight = hostConfig.BlkioWeight ?? 0;
  if (weight !== 0 && (weight < 10 || weight > 1000)) throw invalid("Range of blkio weight is from 10 to 1000");
  for (const device of hostConfig.BlkioWeightDevice ?? []) {
    const deviceWeight = device.Weight ?? 0;
    if (deviceWeight !== 0 && (deviceWeight < 10 || deviceWeight > 1000))
      throw invalid("Range of blkio weight is from 10 to 1000");
  }
  if (hostConfig.IOMaximumIOps)
    throw invalid("Invalid QoS settings: linux does not support configuration of maximum IOPs");
  if (hostConfig.IOMaximumBandwidth)
    throw invalid("Invalid QoS settings: linux does not support configuration of maximum bandwidth");
  if (weight > 0 && !cgroup.blkioWeight) {
    warnings.push("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.");
    hostConfig.BlkioWeight = 0;
  }
  if ((hostConfig.BlkioWeightDevice ?? []).length > 0 && !cgroup.blkioWeightDevice) {
    warnings.push(
      "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
    );
    hostConfig.BlkioWeightDevice = [];
  }
  for (const [field, what, which] of [
    ["BlkioDeviceReadBps", "BPS Block I/O read limit", "Block I/O BPS read limit"],
    ["BlkioDeviceWriteBps", "BPS Block I/O write limit", "Block I/O BPS write limit"],
    ["BlkioDeviceReadIOps", "IOPS Block read limit", "Block I/O IOPS read limit"],
    ["BlkioDeviceWriteIOps", "IOPS Block write limit", "Block I/O IOPS write limit"],
  ] as const) {
    for (const device of hostConfig[field] ?? [])
      if ((device.Rate ?? 0) < 0) throw invalid(`HostConfig.${field}: the rate of "${device.Path}" is negative`);
    if ((hostConfig[field] ?? []).length === 0 || cgroup.blkioThrottle) continue;
    warnings.push(`Your kernel does not support ${what} or the cgroup is not mounted. ${which} discarded.`);
    hostConfig[field] = [];
  }
}

/**
 * Plans `linux.resources` from limits that `prepareResources` has checked. @throws LighterError "invalid" for a missing device.
 */
export function planResources(hostConfig: DockerHostConfig, devices: OciDeviceRule[], probe: HostProbe): OciResources {
  const memory: NonNullable<OciResources["memory"]> = {
    ...positive("limit", hostConfig.Memory),
    ...positive("reservation", hostConfig.MemoryReservation),
    ...positive("swap", hostConfig.MemorySwap),
    ...(hostConfig.MemorySwappiness != null ? { swappiness: hostConfig.MemorySwappiness } : {}),
    ...(hostConfig.OomKillDisable != null ? { disableOOMKiller: hostConfig.OomKillDisable } : {}),
  };
  const nanoCpus = hostConfig.NanoCpus ?? 0;
  const cpu: NonNullable<OciResources["cpu"]> = {
    ...positive("shares", hostConfig.CpuShares),
    ...(nanoCpus > 0
      ? {
          // The product is below 2^53 for up to 90,000 CPUs; Go cuts the fraction off too.
          quota: Math.floor((nanoCpus * DEFAULT_CPU_PERIOD_US) / NANO_PER_CPU),
          period: DEFAULT_CPU_PERIOD_US,
        }
      : {}),
    ...positive("period", hostConfig.CpuPeriod),
    ...(hostConfig.CpuQuota ? { quota: hostConfig.CpuQuota } : {}),
    ...positive("realtimePeriod", hostConfig.CpuRealtimePeriod),
    ...(hostConfig.CpuRealtimeRuntime ? { realtimeRuntime: hostConfig.CpuRealtimeRuntime } : {}),
    ...(hostConfig.CpusetCpus ? { cpus: hostConfig.CpusetCpus } : {}),
    ...(hostConfig.CpusetMems ? { mems: hostConfig.CpusetMems } : {}),
  };
  const throttles = (given: DockerThrottleDevice[] | null | undefined): OciThrottle[] =>
    (given ?? []).map((each) => ({ ...blockDevice(each.Path, probe), rate: each.Rate ?? 0 }));
  const blockIO: NonNullable<OciResources["blockIO"]> = {
    ...positive("weight", hostConfig.BlkioWeight),
    ...filled(
      "weightDevice",
      (hostConfig.BlkioWeightDevice ?? []).map((each) => ({
        ...blockDevice(each.Path, probe),
        weight: each.Weight ?? 0,
      })),
    ),
    ...filled("throttleReadBpsDevice", throttles(hostConfig.BlkioDeviceReadBps)),
    ...filled("throttleWriteBpsDevice", throttles(hostConfig.BlkioDeviceWriteBps)),
    ...filled("throttleReadIOPSDevice", throttles(hostConfig.BlkioDeviceReadIOps)),
    ...filled("throttleWriteIOPSDevice", throttles(hostConfig.BlkioDeviceWriteIOps)),
  };
  return {
    devices,
    ...(Object.keys(memory).length > 0 ? { memory } : {}),
    ...(Object.keys(cpu).length > 0 ? { cpu } : {}),
    // 0 means no limit, as an update leaves it; for the runtime it would be a limit.
    ...(hostConfig.PidsLimit ? { pids: { limit: hostConfig.PidsLimit } } : {}),
    ...(Object.keys(blockIO).length > 0 ? { blockIO } : {}),
  };
}

function positive<K extends string>(key: K, value: number | null | undefined): Partial<Record<K, number>> {
  return value != null && value > 0 ? ({ [key]: value } as Record<K, number>) : {};
}

function filled<K extends string, T>(key: K, list: T[]): Partial<Record<K, T[]>> {
  return list.length > 0 ? ({ [key]: list } as Record<K, T[]>) : {};
}

function blockDevice(path: string | null | undefined, probe: HostProbe): { major: number; minor: number } {
  const device = probe.device(path ?? "");
  // The text is not "no such file or directory": `docker run` would take that for a missing program and exit with 127.
  if (device?.type !== "b") throw invalid(`limit the I/O of "${path}": it is not a block device`);
  return { major: device.major, minor: device.minor };
}

/** The resources of getrlimit(2), as ulimit(1) users know them. */
const ULIMITS: readonly string[] = [
  "as",
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
];

/** RLIM_INFINITY, 2^64 − 1, as near as a JSON number in JavaScript comes to it. */
const RLIM_INFINITY = 2 ** 64;

/**
 * Plans `process.rlimits`.
 * @throws LighterError "invalid": Docker leaves these to the kernel and fails at the start.
 */
export function planRlimits(hostConfig: DockerHostConfig): NonNullable<OciProcess["rlimits"]> {
  const seen = new Set<string>();
  return (hostConfig.Ulimits ?? []).map((ulimit) => {
    const name = (ulimit.Name ?? "").toLowerCase();
    if (!ULIMITS.includes(name)) throw invalid(`invalid ulimit type: ${ulimit.Name ?? ""}`);
    if (seen.has(name)) throw invalid(`ulimit ${name} is given twice`);
    seen.add(name);
    const soft = limitOf(ulimit.Soft, name);
    const hard = limitOf(ulimit.Hard, name);
    if (soft > hard)
      throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${ulimit.Soft} > ${ulimit.Hard}`);
    return { type: `RLIMIT_${name.toUpperCase()}`, soft, hard };
  });
}

function limitOf(value: number | null | undefined, name: string): number {
  if (value === -1) return RLIM_INFINITY;
  if ((value ?? 0) < 0) throw invalid(`ulimit ${name}: ${value} is negative; use -1 for unlimited`);
  return value ?? 0;
}
