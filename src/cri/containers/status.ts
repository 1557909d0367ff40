/** ContainerStatus and ListContainers. */
import { LighterError } from "../../base/errors.ts";
import type { Container } from "../../engine/mod.ts";
import type { containerFilterType } from "../../spec/cri/containers.ts";
import type { MessageOf } from "../../spec/protobuf.ts";
import type { Cri } from "../cri.ts";
import { containerConfig, findContainer, listContainers, matchesLabels, timeNs } from "../pods.ts";
import { withSwapLimit } from "./resources.ts";

/** The number of a container's state. Source: ContainerState in api.proto. */
const CREATED = 0;
const RUNNING = 1;
const EXITED = 2;
/** What kubelet shows of a container that could not be started, which is not the exit code of anything. */
const START_FAILED_EXIT_CODE = 128;

function stateOf({ record }: Container): number {
  if (record.status === "running") return RUNNING;
  return record.status === "created" && record.pod?.startFailedAt === undefined ? CREATED : EXITED;
}

/** A container as lists and its status have it. */
function summaryOf(container: Container) {
  const { id, record } = container;
  const { metadata, image, labels, annotations } = containerConfig(container);
  return {
    ...{ id, metadata, labels, annotations },
    image: { ...image, image: record.config.Image ?? "" },
    imageRef: record.imageId,
    imageId: record.imageId,
    state: stateOf(container),
    createdAt: timeNs(record.createdAt),
  };
}

export function listContainersOfPods(
  { engine }: Cri,
  { filter }: { filter: MessageOf<typeof containerFilterType> | undefined },
) {
  const containers = listContainers(engine).map((container) => ({
    ...summaryOf(container),
    podSandboxId: container.record.pod?.sandboxId ?? "",
  }));
  if (filter === undefined) return { containers };
  const { id, state, podSandboxId, labelSelector } = filter;
  return {
    containers: containers.filter(
      (item) =>
        item.id.startsWith(id) &&
        item.podSandboxId.startsWith(podSandboxId) &&
        (state === undefined || item.state === state.state) &&
        matchesLabels(item.labels, labelSelector),
    ),
  };
}

export function containerStatus(cri: Cri, { containerId, verbose }: { containerId: string; verbose: boolean }) {
  const container = findContainer(cri.engine, containerId);
  return {
    status: containerStatusOf(cri, container),
    info: verbose ? describe(container) : new Map<string, string>(),
  };
}

function describe({ record }: Container): Map<string, string> {
  const { pid, pod, hostConfig } = record;
  return new Map([["info", JSON.stringify({ sandboxID: pod?.sandboxId, pid, hostConfig })]]);
}

export function containerStatusOf(cri: Cri, container: Container) {
  const { record } = container;
  const { mounts, linux, stopSignal } = containerConfig(container);
  const { labels, annotations, metadata, ...summary } = summaryOf(container);
  return {
    ...{ ...summary, metadata, labels, annotations, mounts, stopSignal },
    ...endOf(container),
    startedAt: timeNs(record.startedAt),
    logPath: record.pod?.logPath ?? "",
    resources: { linux: linux?.resources === undefined ? {} : withSwapLimit(linux.resources) },
    ...userOf(cri, container),
  };
}

/** How it has ended, in the words that kubelet shows; nothing while it has not. */
function endOf(container: Container) {
  const { record } = container;
  const { exitCode, oomKilled, error, finishedAt, pod } = record;
  if (stateOf(container) !== EXITED) return {};
  if (pod?.startFailedAt !== undefined)
    return {
      reason: "StartError",
      message: error,
      exitCode: START_FAILED_EXIT_CODE,
      finishedAt: timeNs(pod.startFailedAt),
    };
  const reason = oomKilled ? "OOMKilled" : exitCode === 0 ? "Completed" : "Error";
  return { reason, message: error, exitCode, finishedAt: timeNs(finishedAt) };
}

/** The ids that its process has been given; nothing before, and nothing of a user whom its files do not have any more. */
function userOf({ engine }: Cri, container: Container) {
  const { record } = container;
  if (stateOf(container) === CREATED) return {};
  try {
    const user = engine.planner.findUser(record, engine.paths.container(record.id), record.config.User ?? "");
    const supplementalGroups = [...new Set([user.gid, ...user.additionalGids])];
    return { user: { linux: { uid: user.uid, gid: user.gid, supplementalGroups } } };
  } catch (error) {
    if (error instanceof LighterError && error.code === "invalid") return {};
    throw error;
  }
}
