/** PodSandboxStatus and ListPodSandbox. */
import { nowNs } from "../../base/time.ts";
import type { Container } from "../../engine/mod.ts";
import type { podSandboxFilterType } from "../../spec/cri/sandboxes.ts";
import type { MessageOf } from "../../spec/protobuf.ts";
import { containerStatusOf } from "../containers/status.ts";
import type { Cri } from "../cri.ts";
import { containersOf, findSandbox, isReady, listSandboxes, matchesLabels, sandboxConfig, timeNs } from "../pods.ts";

/** The number of a sandbox's state. Source: PodSandboxState in api.proto. */
const READY = 0;
const NOT_READY = 1;

function stateOf(sandbox: Container): number {
  return isReady(sandbox) ? READY : NOT_READY;
}

/** A sandbox as lists and its status have it. */
function summaryOf(sandbox: Container) {
  const { id, record } = sandbox;
  const { metadata, labels, annotations } = sandboxConfig(sandbox);
  return {
    ...{ id, metadata, labels, annotations },
    state: stateOf(sandbox),
    createdAt: timeNs(record.createdAt),
    runtimeHandler: record.pod?.runtimeHandler ?? "",
  };
}

export function sandboxStatusOf(sandbox: Container) {
  const { linux } = sandboxConfig(sandbox);
  const [ip = "", ...more] = sandbox.record.pod?.addresses ?? [];
  return {
    ...summaryOf(sandbox),
    network: { ip, additionalIps: more.map((address) => ({ ip: address })) },
    linux: { namespaces: { options: linux?.securityContext?.namespaceOptions ?? {} } },
  };
}

export function podSandboxStatus(cri: Cri, { podSandboxId, verbose }: { podSandboxId: string; verbose: boolean }) {
  const sandbox = findSandbox(cri.engine, podSandboxId);
  return {
    status: sandboxStatusOf(sandbox),
    info: verbose ? describe(sandbox) : new Map<string, string>(),
    containersStatuses: containersOf(cri.engine, sandbox.id).map((container) => containerStatusOf(cri, container)),
    timestamp: nowNs(),
  };
}

function describe({ record }: Container): Map<string, string> {
  const { pid, pod, hostConfig } = record;
  return new Map([["info", JSON.stringify({ pid, runtimeHandler: pod?.runtimeHandler ?? "", hostConfig })]]);
}

export function listPodSandbox(
  { engine }: Cri,
  { filter }: { filter: MessageOf<typeof podSandboxFilterType> | undefined },
) {
  const items = listSandboxes(engine).map(summaryOf);
  if (filter === undefined) return { items };
  const { id, state, labelSelector } = filter;
  return {
    items: items.filter(
      (item) =>
        item.id.startsWith(id) &&
        (state === undefined || item.state === state.state) &&
        matchesLabels(item.labels, labelSelector),
    ),
  };
}
