/** Checks what `update` changes in a container's limits. */
import { LighterError } from "../../base/errors.ts";
import { parseBody } from "../../spec/body-fields.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { HOST_CONFIG_FIELDS } from "./fields.ts";
import type { HostFacts } from "./host.ts";
import { validateRestartPolicy } from "./prepare.ts";
import { prepareResources } from "./resources.ts";

/** The limits that an update may change. Docker accepts others and ignores them. */
const CHANGEABLE = [
  "BlkioWeight",
  "CpuShares",
  "NanoCpus",
  "CpuPeriod",
  "CpuQuota",
  "CpuRealtimePeriod",
  "CpuRealtimeRuntime",
  "CpusetCpus",
  "CpusetMems",
  "Memory",
  "MemorySwap",
  "MemoryReservation",
  "PidsLimit",
] as const;

/** Parses the body of an update. @throws LighterError as `parseBody` */
export function parseUpdateBody(body: unknown): DockerHostConfig {
  return parseBody(body, HOST_CONFIG_FIELDS);
}

/**
 * Checks the limits as at creation. Returns as `changes` those that are given and that this kernel has.
 * @throws LighterError "invalid", with Docker's texts
 */
export function prepareUpdate(
  given: DockerHostConfig,
  host: HostFacts,
  leastMemoryBytes?: number,
): { changes: DockerHostConfig; warnings: string[] } {
  validateRestartPolicy(given);
  // At creation a swap limit without a memory limit is a mistake; here the memory limit may be set already.
  const onlySwap = !given.Memory && (given.MemorySwap ?? 0) > 0;
  const { hostConfig, warnings } = prepareResources(
    onlySwap ? { ...given, Memory: given.MemorySwap! } : given,
    host,
    leastMemoryBytes,
  );
  const changes: DockerHostConfig = {};
  for (const field of CHANGEABLE)
    if (given[field] && hostConfig[field]) Object.assign(changes, { [field]: hostConfig[field] });
  if (onlySwap) delete changes.Memory;
  if (given.PidsLimit != null && host.cgroup.pidsLimit) changes.PidsLimit = given.PidsLimit > 0 ? given.PidsLimit : -1;
  if (given.RestartPolicy?.Name) changes.RestartPolicy = given.RestartPolicy;
  return { changes, warnings };
}

/** Merges changes into the current limits. @throws LighterError "conflict" if they contradict each other, with Docker's texts */
export function mergeUpdate(current: DockerHostConfig, changes: DockerHostConfig): DockerHostConfig {
  const has = (value: number | null | undefined) => (value ?? 0) > 0;
  for (const [changed, what, set, which] of [
    ["NanoCpus", "Nano CPUs", "CpuPeriod", "CPU Period has"],
    ["NanoCpus", "Nano CPUs", "CpuQuota", "CPU Quota has"],
    ["CpuPeriod", "CPU Period", "NanoCpus", "NanoCPUs has"],
    ["CpuQuota", "CPU Quota", "NanoCpus", "NanoCPUs has"],
  ] as const)
    if (has(changes[changed]) && has(current[set]))
      throw new LighterError("conflict", `Conflicting options: ${what} cannot be updated as ${which} already been set`);
  if (changes.Memory && !changes.MemorySwap && changes.Memory > (current.MemorySwap ?? 0))
    throw new LighterError(
      "conflict",
      "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
    );
  const policy = changes.RestartPolicy;
  if (current.AutoRemove && policy !== undefined && policy?.Name !== "no")
    throw new LighterError(
      "conflict",
      "Restart policy cannot be updated because AutoRemove is enabled for the container",
    );
  const merged = { ...current, ...changes };
  if (changes.PidsLimit === -1) merged.PidsLimit = 0;
  if (policy != null)
    merged.RestartPolicy = { Name: policy.Name ?? "no", MaximumRetryCount: policy.MaximumRetryCount ?? 0 };
  return merged;
}
