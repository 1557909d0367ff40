import type { OciResources } from "../../spec/oci-runtime.ts";
import type { CgroupHost } from "./host.ts";
import { locateController } from "./host.ts";
import { DISCARDED } from "./resource-writes.ts";

/**
 * `resources` without what this host cannot do and Docker discards with a warning, and those warnings in Docker's own
 * words, in Docker's order: the answer to `POST /containers/create`. All else is left to `planCgroup`, which refuses.
 * Pure; the argument is not changed. Source: moby daemon/daemon_unix.go, as of Docker 26.
 */
export function discardUnsupported(
  host: CgroupHost,
  resources: OciResources,
): { resources: OciResources; warnings: string[] } {
  const kept = structuredClone(resources);
  const warnings: string[] = [];
  const { memory, pids, cpu, blockIO } = kept;
  if (memory !== undefined) discardMemory(host, memory, warnings);
  if (pids?.limit !== undefined && locateController(host, "pids") === undefined) {
    if (pids.limit > 0) warnings.push(unsupported("PIDs limit", "PIDs limit"));
    delete kept.pids;
  }
  if (cpu !== undefined) discardCpu(host, cpu, warnings);
  if (blockIO !== undefined) discardBlockIo(host, blockIO, warnings);
  return { resources: kept, warnings };
}

function discardMemory(host: CgroupHost, memory: NonNullable<OciResources["memory"]>, warnings: string[]): void {
  const version = locateController(host, "memory")?.version;
  const swapFile = version === 1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max";
  if (isPositive(memory.limit) && version === undefined) {
    warnings.push(unsupported("memory limit", "Limitation"));
    delete memory.limit;
    delete memory.swap;
  }
  if (isPositive(memory.limit) && memory.swap !== -1 && host.interfaceFiles?.has(swapFile) === false) {
    warnings.push(
      "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    );
    delete memory.swap;
  }
  if (memory.swappiness !== undefined && version !== 1) {
    warnings.push(DISCARDED.swappiness);
    delete memory.swappiness;
  }
  if (isPositive(memory.reservation) && version === undefined) {
    warnings.push(unsupported("memory soft limit", "Limitation"));
    delete memory.reservation;
  }
  if (isPositive(memory.kernel)) {
    warnings.push(DISCARDED.kernelMemory);
    delete memory.kernel;
  }
  if (memory.disableOOMKiller !== undefined && version !== 1) {
    if (memory.disableOOMKiller) warnings.push(DISCARDED.oomKillDisable);
    delete memory.disableOOMKiller;
  }
  if (memory.disableOOMKiller === true && !isPositive(memory.limit))
    warnings.push(
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    );
}

function discardCpu(host: CgroupHost, cpu: NonNullable<OciResources["cpu"]>, warnings: string[]): void {
  if (locateController(host, "cpu") === undefined) {
    if (isPositive(cpu.shares)) {
      warnings.push("Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.");
      delete cpu.shares;
    }
    if ((cpu.period ?? 0) !== 0 || (cpu.quota ?? 0) !== 0) {
      warnings.push("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.");
      delete cpu.period;
      delete cpu.quota;
    }
  }
  if (((cpu.cpus ?? "") !== "" || (cpu.mems ?? "") !== "") && locateController(host, "cpuset") === undefined) {
    warnings.push("Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.");
    delete cpu.cpus;
    delete cpu.mems;
  }
}

const THROTTLE_WARNINGS = [
  ["throttleReadBpsDevice", "BPS Block I/O read limit", "Block I/O BPS read limit"],
  ["throttleWriteBpsDevice", "BPS Block I/O write limit", "Block I/O BPS write limit"],
  ["throttleReadIOPSDevice", "IOPS Block read limit", "Block I/O IOPS read limit"],
  ["throttleWriteIOPSDevice", "IOPS Block write limit", "Block I/O IOPS write limit"],
] as const;

function discardBlockIo(host: CgroupHost, blockIO: NonNullable<OciResources["blockIO"]>, warnings: string[]): void {
  const version = locateController(host, "blkio")?.version;
  const lacks = (files: readonly string[]) =>
    version === undefined ||
    (host.interfaceFiles !== undefined && !files.some((file) => host.interfaceFiles?.has(file)));
  const weightV2 = ["io.bfq.weight", "io.weight"];
  if (isPositive(blockIO.weight) && lacks(version === 1 ? ["blkio.weight", "blkio.bfq.weight"] : weightV2)) {
    warnings.push("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.");
    delete blockIO.weight;
  }
  const weightDevice = version === 1 ? ["blkio.weight_device", "blkio.bfq.weight_device"] : weightV2;
  if ((blockIO.weightDevice ?? []).length > 0 && lacks(weightDevice)) {
    warnings.push(
      "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
    );
    delete blockIO.weightDevice;
  }
  for (const [field, capability, discarded] of THROTTLE_WARNINGS) {
    if ((blockIO[field] ?? []).length === 0 || version !== undefined) continue;
    warnings.push(`Your kernel does not support ${capability} or the cgroup is not mounted. ${discarded} discarded.`);
    delete blockIO[field];
  }
}

function unsupported(capability: string, discarded: string): string {
  return `Your kernel does not support ${capability} capabilities or the cgroup is not mounted. ${discarded} discarded.`;
}

function isPositive(value: number | undefined): value is number {
  return value !== undefined && value > 0;
}
