/** Plans which values are written to the files of a cgroup for its limits. */
import { LighterError } from "../../base/errors.ts";
import type { OciResources, OciThrottle } from "../../spec/oci-runtime.ts";
import {
  CPU_PERIOD_DEFAULT_US,
  checkInteger,
  checkMemsw,
  cpuWeightFromShares,
  formatInteger,
  ioWeightFromBlkio,
  swapMaxFromMemsw,
} from "./convert.ts";
import type { Target, WriteList } from "./write-list.ts";

/*
 * Turns resources of the runtime-spec into writes to cgroup files. Each function knows both versions of one controller.
 *
 * In all of them 0 means "not set", as with runc and Docker, unless 0 is a real choice (cpu.idle).
 * Sources: runtime-spec config-linux.md#control-groups; Linux Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
 */

/** The current values of a live cgroup, on which the order of some writes depends. Undefined where there is no such file. */
export interface CurrentLimits {
  /** -1 means unlimited. */
  memoryLimitBytes?: number;
  memoryUsageBytes?: number;
  /** Memory in use including what is swapped out. Undefined also where that is not accounted. */
  memorySwapUsageBytes?: number;
  /** -1 means unlimited. */
  cpuQuotaUs?: number;
}

type Cpu = NonNullable<OciResources["cpu"]>;
type Memory = NonNullable<OciResources["memory"]>;
type BlockIo = NonNullable<OciResources["blockIO"]>;

const MEMORY_MAX = 2 ** 63;
const MICROSECONDS_MAX = 2 ** 53;

/**
 * Writes CPU weights, quotas and sets.
 * @param current the values of a live cgroup; absent for a fresh one. In a live one, an old quota may forbid the new period and
 *   the other way round (EINVAL), so the period is tried before and written again after; the same holds for the burst.
 */
export function writeCpu(list: WriteList, cpu: Cpu, current?: CurrentLimits): void {
  const shares = isSet(cpu.shares) ? cpu.shares : undefined;
  const bandwidth = isSet(cpu.quota) || isSet(cpu.period) || cpu.burst !== undefined;
  if (cpu.idle !== undefined) {
    checkInteger(cpu.idle, "cpu.idle", 0, 1);
    // An idle group refuses a weight (EINVAL), so it must stop being idle before the weight is set, and become idle after.
    if (cpu.idle === 0) list.add(list.target("cpu", "cpu.idle"), "cpu.idle", "0", "cpu.idle");
  }
  if (shares !== undefined) writeShares(list, shares);
  if (bandwidth) writeBandwidth(list, cpu, current);
  if (cpu.idle === 1) list.add(list.target("cpu", "cpu.idle"), "cpu.idle", "1", "cpu.idle");
  if (isSet(cpu.realtimePeriod) || isSet(cpu.realtimeRuntime)) writeRealtime(list, cpu, current !== undefined);
  for (const file of ["cpus", "mems"] as const) {
    const value = cpu[file];
    if (value === undefined || value === "") continue;
    if (typeof value !== "string" || !/^[0-9,\- ]+$/.test(value))
      throw new LighterError("invalid", `resources.cpu.${file} ${JSON.stringify(value)} is not a list like 0-3,6`);
    list.add(list.target("cpuset", `cpu.${file}`), `cpuset.${file}`, value, `cpu.${file}`);
  }
}

function writeShares(list: WriteList, shares: number): void {
  checkInteger(shares, "cpu.shares", 0, MEMORY_MAX);
  const target = list.target("cpu", "cpu.shares");
  if (target.version === 2) {
    list.add(target, "cpu.weight", formatInteger(cpuWeightFromShares(shares)), "cpu.shares");
  } else {
    checkInteger(shares, "cpu.shares", 2, 262144); // outside this range the kernel would silently take the nearest value
    list.add(target, "cpu.shares", formatInteger(shares), "cpu.shares");
  }
}

function writeBandwidth(list: WriteList, cpu: Cpu, current: CurrentLimits | undefined): void {
  const target = list.target("cpu", isSet(cpu.quota) ? "cpu.quota" : isSet(cpu.period) ? "cpu.period" : "cpu.burst");
  const live = current !== undefined;
  const quota = isSet(cpu.quota) ? cpu.quota : undefined;
  const period = isSet(cpu.period) ? cpu.period : undefined;
  const { burst } = cpu; // 0 removes it
  if (quota !== undefined) checkInteger(quota, "cpu.quota", -MICROSECONDS_MAX, MICROSECONDS_MAX);
  if (period !== undefined) checkInteger(period, "cpu.period", 1, MICROSECONDS_MAX);
  if (burst !== undefined) checkInteger(burst, "cpu.burst", 0, MICROSECONDS_MAX);

  const burstFile = target.version === 1 ? "cpu.cfs_burst_us" : "cpu.max.burst";
  const writeBurst = (tolerate: string[]) => {
    if (burst === 0) tolerate.push("ENOENT"); // a kernel without bursts has none to remove
    if (burst !== undefined) list.add(target, burstFile, formatInteger(burst), "cpu.burst", tolerate);
  };
  if (live && quota !== undefined) writeBurst(["EINVAL"]); // a lower quota needs a lower burst first
  if (target.version === 1) {
    const writePeriod = (tolerate: string[]) => {
      if (period !== undefined) list.add(target, "cpu.cfs_period_us", formatInteger(period), "cpu.period", tolerate);
    };
    writePeriod(live && quota !== undefined ? ["EINVAL"] : []);
    if (quota !== undefined) list.add(target, "cpu.cfs_quota_us", quota < 0 ? "-1" : formatInteger(quota), "cpu.quota");
    if (live && quota !== undefined) writePeriod([]);
  } else if (quota !== undefined || period !== undefined) {
    const quotaUs = quota ?? current?.cpuQuotaUs ?? -1;
    const max = quotaUs < 0 ? "max" : formatInteger(quotaUs);
    // Without a period the kernel keeps the one it has; a fresh group has the default.
    const value =
      period === undefined ? (live ? max : `${max} ${CPU_PERIOD_DEFAULT_US}`) : `${max} ${formatInteger(period)}`;
    list.add(target, "cpu.max", value, quota === undefined ? "cpu.period" : "cpu.quota");
  }
  writeBurst([]);
}

/**
 * Writes the real-time budget, which must happen before a process with a real-time policy joins. The parent's budget is for the
 * administrator to give.
 */
function writeRealtime(list: WriteList, cpu: Cpu, live: boolean): void {
  const what = isSet(cpu.realtimeRuntime) ? "cpu.realtimeRuntime" : "cpu.realtimePeriod";
  const target = list.target("cpu", what);
  if (target.version === 2)
    throw new LighterError("not-supported", `resources.${what}: cgroup v2 has no real-time budget`);
  for (const name of ["realtimePeriod", "realtimeRuntime"] as const)
    checkInteger(cpu[name] ?? 0, `cpu.${name}`, -1, MICROSECONDS_MAX);
  const { realtimePeriod: period, realtimeRuntime: budget } = cpu;
  const again = live && isSet(period) && isSet(budget); // as with `writeBandwidth`
  const writePeriod = (tolerate: string[]) => {
    if (isSet(period)) list.add(target, "cpu.rt_period_us", formatInteger(period), "cpu.realtimePeriod", tolerate);
  };
  writePeriod(again ? ["EINVAL"] : []);
  if (isSet(budget)) list.add(target, "cpu.rt_runtime_us", formatInteger(budget), "cpu.realtimeRuntime");
  if (again) writePeriod([]);
}

export function writeMemory(list: WriteList, memory: Memory, current?: CurrentLimits): void {
  const limit = isSet(memory.limit) ? memory.limit : undefined;
  const swap = isSet(memory.swap) ? memory.swap : undefined;
  const reservation = isSet(memory.reservation) ? memory.reservation : undefined;
  for (const [name, value] of Object.entries({ limit, swap, reservation }))
    if (value !== undefined) checkInteger(value, `memory.${name}`, -1, MEMORY_MAX);
  if (limit !== undefined || swap !== undefined) {
    const target = list.target("memory", limit === undefined ? "memory.swap" : "memory.limit");
    if (memory.checkBeforeUpdate) {
      // In the order, and with the words, of runc.
      checkUsage("memory+swap", swap, current?.memorySwapUsageBytes ?? current?.memoryUsageBytes);
      checkUsage("memory", limit, current?.memoryUsageBytes);
    }
    if (target.version === 1) writeMemoryLimitsV1(list, target, limit, swap, current);
    else writeMemoryLimitsV2(list, target, limit, swap, current);
  }
  if (reservation !== undefined) {
    const target = list.target("memory", "memory.reservation");
    if (target.version === 1)
      list.add(target, "memory.soft_limit_in_bytes", formatInteger(reservation), "memory.reservation");
    else list.add(target, "memory.low", formatMax(reservation), "memory.reservation");
  }
  writeMemoryExtras(list, memory, current !== undefined);
}

function writeMemoryLimitsV1(
  list: WriteList,
  target: Target,
  limit: number | undefined,
  swap: number | undefined,
  current: CurrentLimits | undefined,
): void {
  const effectiveLimit = limit ?? current?.memoryLimitBytes;
  const memsw = swap ?? (limit === -1 ? -1 : undefined);
  if (memsw !== undefined && memsw !== -1) {
    if (effectiveLimit === undefined)
      throw new LighterError("invalid", "resources.memory.swap is set without memory.limit");
    checkMemsw(memsw, effectiveLimit);
  }
  const writeLimit = () => {
    if (limit !== undefined) list.add(target, "memory.limit_in_bytes", formatInteger(limit), "memory.limit");
  };
  const writeMemsw = () => {
    if (memsw === undefined) return;
    // Without swap accounting the file is missing, which does not matter for "unlimited".
    const tolerate = memsw === -1 ? ["ENOENT"] : [];
    list.add(target, "memory.memsw.limit_in_bytes", formatInteger(memsw), "memory.swap", tolerate);
  };
  // At every moment memory must be at most memory + swap (EINVAL). A fresh cgroup has no limits: memory must be first.
  const currentLimit = current?.memoryLimitBytes ?? -1;
  const growing =
    current !== undefined && memsw !== undefined && (memsw === -1 || (currentLimit !== -1 && memsw >= currentLimit));
  if (growing) {
    writeMemsw();
    writeLimit();
  } else {
    writeLimit();
    writeMemsw();
  }
}

function writeMemoryLimitsV2(
  list: WriteList,
  target: Target,
  limit: number | undefined,
  swap: number | undefined,
  current: CurrentLimits | undefined,
): void {
  const swapMax = swapMaxFromMemsw(swap, limit ?? (swap === undefined ? undefined : current?.memoryLimitBytes));
  if (swapMax !== undefined) {
    // Kernels without swap have no such file; then "none" and "unlimited" are both true already.
    const tolerate = swapMax <= 0 ? ["ENOENT"] : [];
    list.add(target, "memory.swap.max", formatMax(swapMax), "memory.swap", tolerate);
  }
  if (limit !== undefined) list.add(target, "memory.max", formatMax(limit), "memory.limit");
}

function writeMemoryExtras(list: WriteList, memory: Memory, live: boolean): void {
  const { swappiness } = memory;
  // Docker sends "default" as -1 in an unsigned 64-bit number, which a double rounds to 2^64.
  if (swappiness !== undefined && swappiness !== -1 && swappiness !== 2 ** 64) {
    checkInteger(swappiness, "memory.swappiness", 0, 100);
    const target = list.target("memory", "memory.swappiness");
    if (target.version === 1) list.add(target, "memory.swappiness", formatInteger(swappiness), "memory.swappiness");
    else throw new LighterError("not-supported", "resources.memory.swappiness: cgroup v2 has none for one cgroup");
  }
  if (memory.disableOOMKiller === true || (live && memory.disableOOMKiller === false)) {
    const target = list.target("memory", "memory.disableOOMKiller");
    if (target.version === 1)
      list.add(target, "memory.oom_control", memory.disableOOMKiller ? "1" : "0", "memory.disableOOMKiller");
    else if (memory.disableOOMKiller)
      throw new LighterError("not-supported", "resources.memory.disableOOMKiller: cgroup v2 cannot do without it");
  }
  // No kernel since 5.16 limits kernel memory by itself, and runc ignores the field.
  if (isSet(memory.kernel) && memory.kernel !== -1) list.warnings.push(DISCARDED.kernelMemory);
  if (isSet(memory.kernelTCP)) {
    checkInteger(memory.kernelTCP, "memory.kernelTCP", -1, MEMORY_MAX);
    const target = list.target("memory", "memory.kernelTCP");
    if (target.version === 1 && list.has("memory.kmem.tcp.limit_in_bytes") !== false)
      list.add(target, "memory.kmem.tcp.limit_in_bytes", formatInteger(memory.kernelTCP), "memory.kernelTCP");
    else list.warnings.push(DISCARDED.kernelMemoryTcp);
  }
  // Since Linux 5.11 memory is always accounted hierarchically.
  if (memory.useHierarchy === false) list.warnings.push(DISCARDED.useHierarchy);
}

/** The warnings, in Docker's words where it has some: clients know them. */
const DISCARDED = {
  kernelMemory:
    "Your kernel does not support kernel memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
  kernelMemoryTcp: "Your kernel does not support kernel memory TCP limit. Limitation discarded.",
  useHierarchy: "Your kernel always accounts memory hierarchically. UseHierarchy discarded.",
} as const;

/** Refuses, with `checkBeforeUpdate`, a limit below what is in use: it would kill at once. */
function checkUsage(what: string, limit: number | undefined, usage: number | undefined): void {
  if (usage === undefined || limit === undefined || limit === -1 || usage <= limit) return;
  throw new LighterError("conflict", `rejecting ${what} limit ${limit}: ${usage} bytes are in use`);
}

export function writePids(list: WriteList, pids: NonNullable<OciResources["pids"]>): void {
  if (pids.limit === undefined) return;
  checkInteger(pids.limit, "pids.limit", -MICROSECONDS_MAX, MICROSECONDS_MAX);
  // A limit of 0 is written as 1, that of the first process alone: systemd knows no TasksMax=0, and runc says 1 with either
  // driver.
  const value = pids.limit < 0 ? "max" : formatInteger(Math.max(pids.limit, 1));
  list.add(list.target("pids", "pids.limit"), "pids.max", value, "pids.limit");
}

const THROTTLES = [
  { field: "throttleReadBpsDevice", v1: "blkio.throttle.read_bps_device", v2: "rbps" },
  { field: "throttleWriteBpsDevice", v1: "blkio.throttle.write_bps_device", v2: "wbps" },
  { field: "throttleReadIOPSDevice", v1: "blkio.throttle.read_iops_device", v2: "riops" },
  { field: "throttleWriteIOPSDevice", v1: "blkio.throttle.write_iops_device", v2: "wiops" },
] as const;

/**
 * Writes weights and throttles. Weights need the BFQ scheduler on the device, or (v2) the cost model; throttles work with every
 * scheduler.
 */
export function writeBlockIo(list: WriteList, blockIo: BlockIo): void {
  if (isSet(blockIo.leafWeight)) {
    checkInteger(blockIo.leafWeight, "blockIO.leafWeight", 10, 1000);
    addLeafWeight(list, "blockIO.leafWeight", "", blockIo.leafWeight);
  }
  if (isSet(blockIo.weight)) {
    const { weight } = blockIo;
    checkInteger(weight, "blockIO.weight", 10, 1000);
    addWeight(list, "blockIO.weight", "", weight);
  }
  for (const [index, { major, minor, weight, leafWeight }] of (blockIo.weightDevice ?? []).entries()) {
    const what = `blockIO.weightDevice[${index}]`;
    const device = `${formatDevice(what, major, minor)} `;
    if (isSet(leafWeight)) {
      checkInteger(leafWeight, `${what}.leafWeight`, 10, 1000);
      addLeafWeight(list, `${what}.leafWeight`, device, leafWeight);
    }
    if (!isSet(weight)) continue;
    checkInteger(weight, `${what}.weight`, 10, 1000);
    addWeight(list, what, device, weight);
  }
  for (const { field, v1, v2 } of THROTTLES)
    for (const [index, throttle] of (blockIo[field] ?? []).entries()) {
      const what = `blockIO.${field}[${index}]`;
      const target = list.target("blkio", what);
      const { device, rate } = parseThrottle(throttle, what);
      if (target.version === 1) list.add(target, v1, `${device} ${rate}`, what);
      else list.add(target, "io.max", `${device} ${v2}=${rate === "0" ? "max" : rate}`, what);
    }
}

/** Adds a weight; `device` is empty, or "8:0 " for the weight of one device. */
function addWeight(list: WriteList, what: string, device: string, weight: number): void {
  const target = list.target("blkio", what);
  const value = `${device}${formatInteger(weight)}`;
  const suffix = device === "" ? "weight" : "weight_device";
  if (target.version === 1) list.addEither(target, [`blkio.${suffix}`, value], [`blkio.bfq.${suffix}`, value], what);
  else list.addEither(target, ["io.bfq.weight", value], ["io.weight", `${device}${ioWeightFromBlkio(weight)}`], what);
}

/** Adds the weight of a cgroup's own processes against those of its children. It went with the CFQ scheduler in Linux 5.0. */
function addLeafWeight(list: WriteList, what: string, device: string, weight: number): void {
  const target = list.target("blkio", what);
  const file = device === "" ? "blkio.leaf_weight" : "blkio.leaf_weight_device";
  if (target.version === 2) throw new LighterError("not-supported", `resources.${what}: cgroup v2 has no leaf weight`);
  list.add(target, file, `${device}${formatInteger(weight)}`, what);
}

function parseThrottle({ major, minor, rate }: OciThrottle, what: string): { device: string; rate: string } {
  checkInteger(rate, `${what}.rate`, 0, 2 ** 64);
  return { device: formatDevice(what, major, minor), rate: formatInteger(rate) };
}

function formatDevice(what: string, major: number, minor: number): string {
  checkInteger(major, `${what}.major`, 0, 0xffffffff);
  checkInteger(minor, `${what}.minor`, 0, 0xffffffff);
  return `${major}:${minor}`;
}

export function writeHugepages(list: WriteList, limits: NonNullable<OciResources["hugepageLimits"]>): void {
  for (const [index, { pageSize, limit }] of limits.entries()) {
    const what = `hugepageLimits[${index}]`;
    if (!/^[1-9][0-9]*[KMG]B$/.test(pageSize))
      throw new LighterError("invalid", `resources.${what}.pageSize ${JSON.stringify(pageSize)} is not like 2MB`);
    checkInteger(limit, `${what}.limit`, 0, 2 ** 64);
    const target = list.target("hugetlb", what);
    const file = target.version === 1 ? "limit_in_bytes" : "max";
    list.add(target, `hugetlb.${pageSize}.${file}`, formatInteger(limit), what);
    // Reservations are limited too, as runc does: otherwise mmap(2) succeeds and the page fault is SIGBUS. Since Linux 5.7.
    list.add(target, `hugetlb.${pageSize}.rsvd.${file}`, formatInteger(limit), what, ["ENOENT"]);
  }
}

/** Writes network classes and priorities. v1 only; v2 leaves marking packets to eBPF. */
export function writeNetwork(list: WriteList, network: NonNullable<OciResources["network"]>): void {
  if (isSet(network.classID)) {
    checkInteger(network.classID, "network.classID", 0, 0xffffffff);
    const target = list.target("net_cls", "network.classID");
    list.add(target, "net_cls.classid", formatInteger(network.classID), "network.classID");
  }
  for (const [index, { name, priority }] of (network.priorities ?? []).entries()) {
    const what = `network.priorities[${index}]`;
    if (name === "" || /[\s\0]/.test(name)) throw new LighterError("invalid", `resources.${what}.name is no interface`);
    checkInteger(priority, `${what}.priority`, 0, 0xffffffff);
    list.add(list.target("net_prio", what), "net_prio.ifpriomap", `${name} ${priority}`, what);
  }
}

export function writeRdma(list: WriteList, rdma: NonNullable<OciResources["rdma"]>): void {
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(rdma)) {
    const what = `rdma[${JSON.stringify(device)}]`;
    if (device === "" || /[\s\0]/.test(device)) throw new LighterError("invalid", `resources.${what} is no device`);
    const values: string[] = [];
    for (const [key, value] of [
      ["hca_handle", hcaHandles],
      ["hca_object", hcaObjects],
    ] as const) {
      if (value === undefined) continue;
      checkInteger(value, what, 0, 0xffffffff);
      values.push(`${key}=${value}`);
    }
    if (values.length > 0) list.add(list.target("rdma", what), "rdma.max", `${device} ${values.join(" ")}`, what);
  }
}

/** Writes raw v2 files, last of all, so that they override what the other fields say. */
export function writeUnified(list: WriteList, unified: NonNullable<OciResources["unified"]>): void {
  for (const [file, value] of Object.entries(unified)) {
    const what = `unified[${JSON.stringify(file)}]`;
    const controller = /^([a-z_]+)\.[A-Za-z0-9_.]+$/.exec(file)?.[1];
    if (controller === undefined)
      throw new LighterError("invalid", `resources.${what} is not like CONTROLLER.PARAMETER`);
    const { v2 } = list.host;
    if (v2 === undefined || (controller !== "cgroup" && !v2.controllers.includes(controller)))
      throw new LighterError(
        "not-supported",
        `invalid configuration: resources.${what}: this host has no v2 controller "${controller}"`,
      );
    if (controller !== "cgroup") list.controllersV2.add(controller);
    const target: Target = { controller, version: 2, directory: `${v2.mountPoint}/${list.path}` };
    // Files like io.max take one line per write(2).
    for (const line of value.split("\n").filter((each) => each !== "")) list.add(target, file, line, what);
  }
}

function isSet(value: number | undefined): value is number {
  return value !== undefined && value !== 0;
}

function formatMax(bytes: number): string {
  return bytes === -1 ? "max" : formatInteger(bytes);
}
