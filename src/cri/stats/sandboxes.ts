/** PodSandboxStats and ListPodSandboxStats. */
import { nowNs } from "../../base/time.ts";
import {
  type Container,
  cgroupParentOf,
  readCgroup,
  readCgroupDetails,
  type StatsSample,
  sampleStats,
} from "../../engine/mod.ts";
import type { podSandboxStatsFilterType } from "../../spec/cri/stats.ts";
import type { MessageOf } from "../../spec/protobuf.ts";
import type { Cri } from "../cri.ts";
import { containersOf, findSandbox, isReady, listSandboxes, matchesLabels, sandboxConfig } from "../pods.ts";
import { statsOfContainers } from "./containers.ts";
import { cpuUsage, ioUsage, memoryUsage, networkUsage } from "./usage.ts";

export async function podSandboxStats(cri: Cri, { podSandboxId }: { podSandboxId: string }) {
  return { stats: await statsOf(cri, findSandbox(cri.engine, podSandboxId)) };
}

export async function listPodSandboxStats(
  cri: Cri,
  { filter }: { filter: MessageOf<typeof podSandboxStatsFilterType> | undefined },
) {
  const { id = "", labelSelector = new Map<string, string>() } = filter ?? {};
  const wanted = listSandboxes(cri.engine).filter(
    (sandbox) =>
      isReady(sandbox) && sandbox.id.startsWith(id) && matchesLabels(sandboxConfig(sandbox).labels, labelSelector),
  );
  return { stats: await Promise.all(wanted.map((sandbox) => statsOf(cri, sandbox))) };
}

async function statsOf(cri: Cri, sandbox: Container) {
  const { metadata, labels, annotations } = sandboxConfig(sandbox);
  const containers = await statsOfContainers(cri, containersOf(cri.engine, sandbox.id));
  const sample = sampleStats(sandbox);
  const counted = countersOf(sandbox, sample);
  return {
    attributes: { id: sandbox.id, metadata, labels, annotations },
    linux: {
      ...(counted && usageOf(sandbox, counted)),
      network: networkUsage(sample?.interfaces),
      process: { timestamp: nowNs(), processCount: { value: counted?.cgroup.pids.current ?? 0 } },
      containers,
    },
  };
}

/** What the cgroup counts that kubelet has made for the pod; without one there is no sum, and the sandbox's own counts. */
function countersOf(sandbox: Container, sample: StatsSample | undefined): Counted | undefined {
  const cgroupsPath = cgroupParentOf(sandbox.record);
  const cgroup = cgroupsPath === "" ? undefined : readCgroup(cgroupsPath);
  return cgroup === undefined ? sample : { cgroup, cgroupsPath };
}

type Counted = Pick<StatsSample, "cgroup" | "cgroupsPath">;

function usageOf(sandbox: Container, { cgroup, cgroupsPath }: Counted) {
  const details = readCgroupDetails(cgroupsPath);
  return {
    cpu: cpuUsage(sandbox, cgroup, details),
    memory: memoryUsage(cgroup, details),
    io: ioUsage(details),
  };
}
