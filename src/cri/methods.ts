/** The table of methods of Kubernetes' runtime interface, by their paths. */
import { answerStream, type Call, type Method, type Methods, unary } from "../grpc/server.ts";
import * as container from "../spec/cri/containers.ts";
import * as image from "../spec/cri/images.ts";
import * as runtime from "../spec/cri/runtime.ts";
import * as sandbox from "../spec/cri/sandboxes.ts";
import * as stats from "../spec/cri/stats.ts";
import * as stream from "../spec/cri/streams.ts";
import { createContainer } from "./containers/create.ts";
import { execSync } from "./containers/exec-sync.ts";
import { removeContainer, startContainer, stopContainer } from "./containers/life.ts";
import { containerStatus, listContainersOfPods } from "./containers/status.ts";
import { attach, exec, portForward } from "./containers/streams.ts";
import { checkpointContainer, reopenContainerLog, updateContainerResources } from "./containers/update.ts";
import type { Cri } from "./cri.ts";
import { imageFsInfo, imageStatus, listImages, removeImage } from "./images/images.ts";
import { pullImage } from "./images/pull.ts";
import { runPodSandbox } from "./sandboxes/run.ts";
import { listPodSandbox, podSandboxStatus } from "./sandboxes/status.ts";
import { removePodSandbox, stopPodSandbox } from "./sandboxes/stop.ts";
import { updatePodSandboxResources } from "./sandboxes/update.ts";
import { containerEvents } from "./service/events.ts";
import { runtimeConfig, status, version } from "./service/runtime.ts";
import { containerStats, listContainerStats } from "./stats/containers.ts";
import { listMetricDescriptors, listPodSandboxMetrics } from "./stats/metrics.ts";
import { listPodSandboxStats, podSandboxStats } from "./stats/sandboxes.ts";

export function methodsOf(cri: Cri): Methods {
  const on = binderFor(cri);
  const inPieces = piecesFor(cri);
  return new Map([
    ...named("RuntimeService", {
      ...aboutRuntime(on),
      ...aboutSandboxes(on),
      ...aboutContainers(on),
      GetContainerEvents: answerStream(
        { request: container.getEventsRequestType, answer: container.containerEventResponseType },
        (_request, call) => containerEvents(cri, call),
      ),
      ...aboutUsage(on),
      ...aboutStreams(on),
      ...listsInPieces(inPieces),
    }),
    ...named("ImageService", {
      ...aboutImages(on),
      StreamImages: inPieces(image.listImagesRequestType, image.listImagesResponseType, listImages),
    }),
  ]);
}

function named(service: string, methods: Readonly<Record<string, Method>>): [path: string, Method][] {
  return Object.entries(methods).map(([name, method]) => [`/runtime.v1.${service}/${name}`, method]);
}

type Bind = ReturnType<typeof binderFor>;

/** The most items in one message of a list that is sent in pieces: with all their annotations far below the 16 MiB of a message. */
const PIECE_ITEMS = 32;

/**
 * Makes a method of one that answers with a list: it sends the list in pieces, each a message of its own. On the wire a piece is what
 * the whole list would be, and no items are no message.
 */
function piecesFor(cri: Cri) {
  return <Request, Answer extends object>(
    request: { decode(bytes: Uint8Array): Request },
    answer: { encode(value: Answer): Uint8Array },
    list: (cri: Cri, request: Request) => Promise<Answer> | Answer,
  ): Method =>
    answerStream({ request, answer }, async function* (asked) {
      for (const [name, items] of Object.entries(await list(cri, asked)) as [string, unknown[]][])
        for (let at = 0; at < items.length; at += PIECE_ITEMS)
          yield { [name]: items.slice(at, at + PIECE_ITEMS) } as Answer;
    });
}

/** Makes a method of a function that gets the runtime, the request and the call. */
function binderFor(cri: Cri) {
  return <Request, Answer>(
    request: { decode(bytes: Uint8Array): Request },
    answer: { encode(value: Answer): Uint8Array },
    handle: (cri: Cri, request: Request, call: Call) => Promise<Answer> | Answer,
  ): Method => unary({ request, answer }, (asked, call) => handle(cri, asked, call));
}

function aboutRuntime(on: Bind): Record<string, Method> {
  return {
    Version: on(runtime.versionRequestType, runtime.versionResponseType, version),
    Status: on(runtime.statusRequestType, runtime.statusResponseType, status),
    RuntimeConfig: on(runtime.runtimeConfigRequestType, runtime.runtimeConfigResponseType, runtimeConfig),
    UpdateRuntimeConfig: on(
      runtime.updateRuntimeConfigRequestType,
      runtime.updateRuntimeConfigResponseType,
      () => ({}),
    ), // addresses of pods are the network's affair
  };
}

function aboutSandboxes(on: Bind): Record<string, Method> {
  return {
    RunPodSandbox: on(sandbox.runPodSandboxRequestType, sandbox.runPodSandboxResponseType, runPodSandbox),
    StopPodSandbox: on(sandbox.stopPodSandboxRequestType, sandbox.stopPodSandboxResponseType, stopPodSandbox),
    RemovePodSandbox: on(sandbox.removePodSandboxRequestType, sandbox.removePodSandboxResponseType, removePodSandbox),
    UpdatePodSandboxResources: on(
      sandbox.updatePodSandboxResourcesRequestType,
      sandbox.updatePodSandboxResourcesResponseType,
      updatePodSandboxResources,
    ),
    PodSandboxStatus: on(sandbox.podSandboxStatusRequestType, sandbox.podSandboxStatusResponseType, podSandboxStatus),
    ListPodSandbox: on(sandbox.listPodSandboxRequestType, sandbox.listPodSandboxResponseType, listPodSandbox),
  };
}

function aboutContainers(on: Bind): Record<string, Method> {
  return {
    CreateContainer: on(container.createContainerRequestType, container.createContainerResponseType, createContainer),
    StartContainer: on(container.startContainerRequestType, container.startContainerResponseType, startContainer),
    StopContainer: on(container.stopContainerRequestType, container.stopContainerResponseType, stopContainer),
    RemoveContainer: on(container.removeContainerRequestType, container.removeContainerResponseType, removeContainer),
    ListContainers: on(container.listContainersRequestType, container.listContainersResponseType, listContainersOfPods),
    ContainerStatus: on(container.containerStatusRequestType, container.containerStatusResponseType, containerStatus),
    UpdateContainerResources: on(
      container.updateContainerResourcesRequestType,
      container.updateContainerResourcesResponseType,
      updateContainerResources,
    ),
    ReopenContainerLog: on(
      container.reopenContainerLogRequestType,
      container.reopenContainerLogResponseType,
      reopenContainerLog,
    ),
    CheckpointContainer: on(
      container.checkpointContainerRequestType,
      container.checkpointContainerResponseType,
      checkpointContainer,
    ),
  };
}

function aboutStreams(on: Bind): Record<string, Method> {
  return {
    ExecSync: on(stream.execSyncRequestType, stream.execSyncResponseType, execSync),
    Exec: on(stream.execRequestType, stream.execResponseType, exec),
    Attach: on(stream.attachRequestType, stream.attachResponseType, attach),
    PortForward: on(stream.portForwardRequestType, stream.portForwardResponseType, portForward),
  };
}

function aboutUsage(on: Bind): Record<string, Method> {
  return {
    ContainerStats: on(stats.containerStatsRequestType, stats.containerStatsResponseType, containerStats),
    ListContainerStats: on(
      stats.listContainerStatsRequestType,
      stats.listContainerStatsResponseType,
      listContainerStats,
    ),
    PodSandboxStats: on(stats.podSandboxStatsRequestType, stats.podSandboxStatsResponseType, podSandboxStats),
    ListPodSandboxStats: on(
      stats.listPodSandboxStatsRequestType,
      stats.listPodSandboxStatsResponseType,
      listPodSandboxStats,
    ),
    ListMetricDescriptors: on(
      stats.listMetricDescriptorsRequestType,
      stats.listMetricDescriptorsResponseType,
      listMetricDescriptors,
    ),
    ListPodSandboxMetrics: on(
      stats.listPodSandboxMetricsRequestType,
      stats.listPodSandboxMetricsResponseType,
      listPodSandboxMetrics,
    ),
  };
}

/** Lists for nodes with many pods. Source: Kubernetes' KEP-5825. */
function listsInPieces(inPieces: ReturnType<typeof piecesFor>): Record<string, Method> {
  return {
    StreamPodSandboxes: inPieces(sandbox.listPodSandboxRequestType, sandbox.listPodSandboxResponseType, listPodSandbox),
    StreamContainers: inPieces(
      container.listContainersRequestType,
      container.listContainersResponseType,
      listContainersOfPods,
    ),
    StreamContainerStats: inPieces(
      stats.listContainerStatsRequestType,
      stats.listContainerStatsResponseType,
      listContainerStats,
    ),
    StreamPodSandboxStats: inPieces(
      stats.listPodSandboxStatsRequestType,
      stats.listPodSandboxStatsResponseType,
      listPodSandboxStats,
    ),
    StreamPodSandboxMetrics: inPieces(
      stats.listPodSandboxMetricsRequestType,
      stats.listPodSandboxMetricsResponseType,
      listPodSandboxMetrics,
    ),
  };
}

function aboutImages(on: Bind): Record<string, Method> {
  return {
    ListImages: on(image.listImagesRequestType, image.listImagesResponseType, listImages),
    ImageStatus: on(image.imageStatusRequestType, image.imageStatusResponseType, imageStatus),
    PullImage: on(image.pullImageRequestType, image.pullImageResponseType, pullImage),
    RemoveImage: on(image.removeImageRequestType, image.removeImageResponseType, removeImage),
    ImageFsInfo: on(image.imageFsInfoRequestType, image.imageFsInfoResponseType, imageFsInfo),
  };
}
