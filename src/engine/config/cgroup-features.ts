/** Finds out which limits the cgroups of this host have. */
import { type CgroupHost, locateController } from "../../linux/cgroup/mod.ts";
import type { CgroupFeatures } from "./host.ts";

/**
 * Tells which limits this host's cgroups have: by controller, and by file where kernels with the controller differ.
 * `files`: names of the files in cgroups below the top of each hierarchy, since the top has other files; a file is taken to exist
 * as long as no such cgroup has been seen. Sources: Linux Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
 */
export function cgroupFeatures(host: CgroupHost, files: ReadonlySet<string>): CgroupFeatures {
  const version = (controller: string) => locateController(host, controller)?.version;
  const memory = version("memory");
  const cpu = version("cpu");
  const blkio = version("blkio");
  /** The file `witness` is in every cgroup of its controller: if it is missing, no such cgroup was seen. */
  const has = (witness: string, ...any: readonly string[]) =>
    !files.has(witness) || any.some((file) => files.has(file));
  const [blkioWitness, weights, deviceWeights] =
    blkio === 1
      ? [
          "blkio.throttle.read_bps_device",
          ["blkio.weight", "blkio.bfq.weight"],
          ["blkio.weight_device", "blkio.bfq.weight_device"],
        ]
      : ["io.max", ["io.weight", "io.bfq.weight"], ["io.weight", "io.bfq.weight"]];
  return {
    mode: host.mode,
    memoryLimit: memory !== undefined,
    memoryReservation: memory !== undefined,
    swapLimit:
      memory === 1
        ? has("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        : memory === 2 && has("memory.max", "memory.swap.max"),
    memorySwappiness: memory === 1,
    oomKillDisable: memory === 1,
    pidsLimit: version("pids") !== undefined,
    cpuShares: cpu !== undefined,
    cpuCfs: cpu === 1 ? has("cpu.shares", "cpu.cfs_quota_us") : cpu === 2 && has("cpu.weight", "cpu.max"),
    cpuRealtime: cpu === 1 && files.has("cpu.rt_runtime_us"),
    cpuset: version("cpuset") !== undefined,
    blkioWeight: blkio !== undefined && has(blkioWitness, ...weights),
    blkioWeightDevice: blkio !== undefined && has(blkioWitness, ...deviceWeights),
    blkioThrottle: blkio !== undefined,
  };
}
