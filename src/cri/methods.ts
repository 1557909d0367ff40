/** The table of methods of Kubernetes' runtime interface, by their paths. */
import { answerStream, type Method, type Methods, unary } from "../grpc/server.ts";
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
  return new Map([
    ...named("RuntimeService", {
      ...aboutRuntime(cri),
      ...aboutSandboxes(cri),
      ...aboutContainers(cri),
      ...aboutUsage(cri),
      ...aboutStreams(cri),
    }),
    ...named("ImageService", aboutImages(cri)),
  ]);
}

function named(service: string, methods: Readonly<Record<string, Method>>): [path: string, Method][] {
  return Object.entries(methods).map(([name, method]) => [`/runtime.v1.${service}/${name}`, method]);
}

function aboutRuntime(cri: Cri): Record<string, Method> {
  return {
    Version: unary({ request: runtime.versionRequestType, answer: runtime.versionResponseType }, version),
    Status: unary({ request: runtime.statusRequestType, answer: runtime.statusResponseType }, (request) =>
      status(cri, request),
    ),
    RuntimeConfig: unary(
      { request: runtime.runtimeConfigRequestType, answer: runtime.runtimeConfigResponseType },
      runtimeConfig,
    ),
    UpdateRuntimeConfig: unary(
      { request: runtime.updateRuntimeConfigRequestType, answer: runtime.updateRuntimeConfigResponseType },
      () => ({}), // addresses of pods are the network's affair
    ),
  };
}

function aboutSandboxes(cri: Cri): Record<string, Method> {
  return {
    RunPodSandbox: unary(
      { request: sandbox.runPodSandboxRequestType, answer: sandbox.runPodSandboxResponseType },
      (request) => runPodSandbox(cri, request),
    ),
    StopPodSandbox: unary(
      { request: sandbox.stopPodSandboxRequestType, answer: sandbox.stopPodSandboxResponseType },
      (request) => stopPodSandbox(cri, request),
    ),
    RemovePodSandbox: unary(
      { request: sandbox.removePodSandboxRequestType, answer: sandbox.removePodSandboxResponseType },
      (request) => removePodSandbox(cri, request),
    ),
    UpdatePodSandboxResources: unary(
      { request: sandbox.updatePodSandboxResourcesRequestType, answer: sandbox.updatePodSandboxResourcesResponseType },
      (request) => updatePodSandboxResources(cri, request),
    ),
    PodSandboxStatus: unary(
      { request: sandbox.podSandboxStatusRequestType, answer: sandbox.podSandboxStatusResponseType },
      (request) => podSandboxStatus(cri, request),
    ),
    ListPodSandbox: unary(
      { request: sandbox.listPodSandboxRequestType, answer: sandbox.listPodSandboxResponseType },
      (request) => listPodSandbox(cri, request),
    ),
  };
}

function aboutContainers(cri: Cri): Record<string, Method> {
  return {
    CreateContainer: unary(
      { request: container.createContainerRequestType, answer: container.createContainerResponseType },
      (request) => createContainer(cri, request),
    ),
    StartContainer: unary(
      { request: container.startContainerRequestType, answer: container.startContainerResponseType },
      (request) => startContainer(cri, request),
    ),
    StopContainer: unary(
      { request: container.stopContainerRequestType, answer: container.stopContainerResponseType },
      (request) => stopContainer(cri, request),
    ),
    RemoveContainer: unary(
      { request: container.removeContainerRequestType, answer: container.removeContainerResponseType },
      (request) => removeContainer(cri, request),
    ),
    ListContainers: unary(
      { request: container.listContainersRequestType, answer: container.listContainersResponseType },
      (request) => listContainersOfPods(cri, request),
    ),
    ContainerStatus: unary(
      { request: container.containerStatusRequestType, answer: container.containerStatusResponseType },
      (request) => containerStatus(cri, request),
    ),
    UpdateContainerResources: unary(
      {
        request: container.updateContainerResourcesRequestType,
        answer: container.updateContainerResourcesResponseType,
      },
      (request) => updateContainerResources(cri, request),
    ),
    ReopenContainerLog: unary(
      { request: container.reopenContainerLogRequestType, answer: container.reopenContainerLogResponseType },
      (request) => reopenContainerLog(cri, request),
    ),
    CheckpointContainer: unary(
      { request: container.checkpointContainerRequestType, answer: container.checkpointContainerResponseType },
      (request) => checkpointContainer(cri, request),
    ),
    GetContainerEvents: answerStream(
      { request: container.getEventsRequestType, answer: container.containerEventResponseType },
      (_request, call) => containerEvents(cri, call),
    ),
  };
}

function aboutStreams(cri: Cri): Record<string, Method> {
  return {
    ExecSync: unary({ request: stream.execSyncRequestType, answer: stream.execSyncResponseType }, (request, call) =>
      execSync(cri, request, call),
    ),
    Exec: unary({ request: stream.execRequestType, answer: stream.execResponseType }, (request) => exec(cri, request)),
    Attach: unary({ request: stream.attachRequestType, answer: stream.attachResponseType }, (request) =>
      attach(cri, request),
    ),
    PortForward: unary({ request: stream.portForwardRequestType, answer: stream.portForwardResponseType }, (request) =>
      portForward(cri, request),
    ),
  };
}

function aboutUsage(cri: Cri): Record<string, Method> {
  return {
    ContainerStats: unary(
      { request: stats.containerStatsRequestType, answer: stats.containerStatsResponseType },
      (request) => containerStats(cri, request),
    ),
    ListContainerStats: unary(
      { request: stats.listContainerStatsRequestType, answer: stats.listContainerStatsResponseType },
      (request) => listContainerStats(cri, request),
    ),
    PodSandboxStats: unary(
      { request: stats.podSandboxStatsRequestType, answer: stats.podSandboxStatsResponseType },
      (request) => podSandboxStats(cri, request),
    ),
    ListPodSandboxStats: unary(
      { request: stats.listPodSandboxStatsRequestType, answer: stats.listPodSandboxStatsResponseType },
      (request) => listPodSandboxStats(cri, request),
    ),
    ListMetricDescriptors: unary(
      { request: stats.listMetricDescriptorsRequestType, answer: stats.listMetricDescriptorsResponseType },
      listMetricDescriptors,
    ),
    ListPodSandboxMetrics: unary(
      { request: stats.listPodSandboxMetricsRequestType, answer: stats.listPodSandboxMetricsResponseType },
      () => listPodSandboxMetrics(cri),
    ),
  };
}

function aboutImages(cri: Cri): Record<string, Method> {
  return {
    ListImages: unary({ request: image.listImagesRequestType, answer: image.listImagesResponseType }, (request) =>
      listImages(cri, request),
    ),
    ImageStatus: unary({ request: image.imageStatusRequestType, answer: image.imageStatusResponseType }, (request) =>
      imageStatus(cri, request),
    ),
    PullImage: unary({ request: image.pullImageRequestType, answer: image.pullImageResponseType }, (request, call) =>
      pullImage(cri, request, call),
    ),
    RemoveImage: unary({ request: image.removeImageRequestType, answer: image.removeImageResponseType }, (request) =>
      removeImage(cri, request),
    ),
    ImageFsInfo: unary({ request: image.imageFsInfoRequestType, answer: image.imageFsInfoResponseType }, () =>
      imageFsInfo(cri),
    ),
  };
}
