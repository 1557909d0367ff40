/** ContainerStats and ListContainerStats. */
import {
  type Container,
  readCgroupDetails,
  type StatsSample,
  sampleStats,
  type Written,
  writtenBy,
} from "../../engine/mod.ts";
import type { containerStatsFilterType } from "../../spec/cri/stats.ts";
import type { MessageOf } from "../../spec/protobuf.ts";
import type { Cri } from "../cri.ts";
import { containerConfig, findContainer, listContainers, matchesLabels } from "../pods.ts";
import { cpuUsage, ioUsage, memoryUsage, swapUsage } from "./usage.ts";

export async function containerStats(cri: Cri, { containerId }: { containerId: string }) {
  const [stats] = await statsOfContainers(cri, [findContainer(cri.engine, containerId)]);
  return { stats: stats! };
}

export async function listContainerStats(
  cri: Cri,
  { filter }: { filter: MessageOf<typeof containerStatsFilterType> | undefined },
) {
  const { id = "", podSandboxId = "", labelSelector = new Map<string, string>() } = filter ?? {};
  const wanted = listContainers(cri.engine).filter(
    (container) =>
      container.id.startsWith(id) &&
      (container.record.pod?.sandboxId ?? "").startsWith(podSandboxId) &&
      matchesLabels(containerConfig(container).labels, labelSelector),
  );
  return { stats: await statsOfContainers(cri, wanted) };
}

/** Statistics of containers, in their order. One that does not run uses its disk alone. */
export async function statsOfContainers(cri: Cri, containers: readonly Container[]) {
  const layers = await writtenBy(cri.engine, containers);
  return containers.map((container, index) => {
    const { metadata, labels, annotations } = containerConfig(container);
    const sample = sampleStats(container);
    return {
      attributes: { id: container.id, metadata, labels, annotations },
      ...(sample && usageOf(container, sample)),
      writableLayer: describeLayer(cri, layers[index]),
    };
  });
}

function describeLayer({ engine }: Cri, written: Written | undefined) {
  if (written === undefined) return undefined;
  const { timestamp, bytes, inodes } = written;
  return {
    timestamp,
    fsId: { mountpoint: engine.paths.dataRoot },
    usedBytes: { value: bytes },
    inodesUsed: { value: inodes },
  };
}

function usageOf(container: Container, { cgroup, cgroupsPath }: StatsSample) {
  const details = readCgroupDetails(cgroupsPath);
  return {
    cpu: cpuUsage(container, cgroup, details),
    memory: memoryUsage(cgroup, details),
    swap: swapUsage(details),
    io: ioUsage(details),
  };
}
