/** Limits of a container in the words of Docker's API. */
import type { linuxContainerResourcesType } from "../../spec/cri/common.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { MessageOf } from "../../spec/protobuf.ts";

export type Resources = MessageOf<typeof linuxContainerResourcesType>;

/** The limits; zero and what is negative are none. Without a limit of swap there is one of memory alone. */
export function limitsOf(resources: Resources | undefined): DockerHostConfig {
  if (resources === undefined) return {};
  const { cpuPeriod, cpuQuota, cpuShares, memoryLimitInBytes, memorySwapLimitInBytes } = resources;
  const hasMemory = memoryLimitInBytes > 0;
  return {
    ...(cpuPeriod > 0 ? { CpuPeriod: cpuPeriod } : {}),
    ...(cpuQuota > 0 ? { CpuQuota: cpuQuota } : {}),
    ...(cpuShares > 0 ? { CpuShares: cpuShares } : {}),
    ...(hasMemory ? { Memory: memoryLimitInBytes, MemorySwap: memorySwapLimitInBytes || -1 } : {}),
    ...(resources.cpusetCpus === "" ? {} : { CpusetCpus: resources.cpusetCpus }),
    ...(resources.cpusetMems === "" ? {} : { CpusetMems: resources.cpusetMems }),
  };
}
