/** Limits of a container in the words of Docker's API. */
import type { PodRecord } from "../../engine/mod.ts";
import type { linuxContainerResourcesType } from "../../spec/cri/common.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { MessageOf } from "../../spec/protobuf.ts";

export type Resources = MessageOf<typeof linuxContainerResourcesType>;

/** A container with a limit of memory swaps only if it is told how much: what its memory and swap together may be is the same then. */
export function withSwapLimit(resources: Resources): Resources {
  const { memoryLimitInBytes, memorySwapLimitInBytes } = resources;
  return memoryLimitInBytes > 0 && memorySwapLimitInBytes === 0
    ? { ...resources, memorySwapLimitInBytes: memoryLimitInBytes }
    : resources;
}

/** The limits; zero and what is negative are none. */
export function limitsOf(resources: Resources | undefined): DockerHostConfig {
  if (resources === undefined) return {};
  const { cpuPeriod, cpuQuota, cpuShares, memoryLimitInBytes, memorySwapLimitInBytes } = withSwapLimit(resources);
  return {
    ...(cpuPeriod > 0 ? { CpuPeriod: cpuPeriod } : {}),
    ...(cpuQuota > 0 ? { CpuQuota: cpuQuota } : {}),
    ...(cpuShares > 0 ? { CpuShares: cpuShares } : {}),
    ...(memoryLimitInBytes > 0 ? { Memory: memoryLimitInBytes, MemorySwap: memorySwapLimitInBytes } : {}),
    ...(resources.cpusetCpus === "" ? {} : { CpusetCpus: resources.cpusetCpus }),
    ...(resources.cpusetMems === "" ? {} : { CpusetMems: resources.cpusetMems }),
  };
}

/** The limits for which Docker has no words; undefined for none. */
export function furtherLimitsOf(resources: Resources | undefined): PodRecord["limits"] {
  const { hugepageLimits = [], unified = new Map<string, string>() } = resources ?? {};
  if (hugepageLimits.length === 0 && unified.size === 0) return undefined;
  return {
    ...(hugepageLimits.length === 0 ? {} : { hugepageLimits }),
    ...(unified.size === 0 ? {} : { unified: Object.fromEntries(unified) }),
  };
}
