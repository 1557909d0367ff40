/** PodSandboxStats and ListPodSandboxStats. */
import { nowNs } from "../../base/time.ts";
import { type Container, readCgroup, sampleStats } from "../../engine/mod.ts";
import type { podSandboxStatsFilterType } from "../../spec/cri/stats.ts";
import type { MessageOf } from "../../spec/protobuf.ts";
import type { Cri } from "../cri.ts";
import { containersOf, findSandbox, isReady, listSandboxes, matchesLabels, sandboxConfig } from "../pods.ts";
import { statsOfContainers } from "./containers.ts";
import { cpuUsage, memoryUsage, networkUsage } from "./usage.ts";

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
  const { metadata, labels, annotations, linux } = sandboxConfig(sandbox);
  const containers = await statsOfContainers(cri, containersOf(cri.engine, sandbox.id));
  const sample = sampleStats(sandbox);
  // The cgroup that kubelet has made for the pod; without one there is no sum.
  const pod = linux?.cgroupParent ? readCgroup(linux.cgroupParent) : undefined;
  const counters = pod ?? sample?.cgroup;
  return {
    attributes: { id: sandbox.id, metadata, labels, annotations },
    linux: {
      ...(counters && { cpu: cpuUsage(sandbox, counters), memory: memoryUsage(counters) }),
      network: networkUsage(sample?.interfaces),
      process: { timestamp: nowNs(), processCount: { value: counters?.pids.current ?? 0 } },
      containers,
    },
  };
}
