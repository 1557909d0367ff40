/** Messages of Kubernetes' runtime interface: pod sandboxes. Source: kubernetes/cri-api pkg/apis/runtime/v1/api.proto. */

import { boolean, int64, integer, MessageType, message, messages, string, stringMap } from "../protobuf.ts";
import {
  containerStatusType,
  linuxContainerResourcesType,
  podSandboxConfigType,
  podSandboxMetadataType,
  podSandboxStatusType,
} from "./common.ts";

export const runPodSandboxRequestType = new MessageType({
  config: message(1, podSandboxConfigType),
  runtimeHandler: string(2),
});
export const runPodSandboxResponseType = new MessageType({
  podSandboxId: string(1),
});
export const stopPodSandboxRequestType = new MessageType({
  podSandboxId: string(1),
});
export const stopPodSandboxResponseType = new MessageType({});
export const removePodSandboxRequestType = new MessageType({
  podSandboxId: string(1),
});
export const removePodSandboxResponseType = new MessageType({});
export const podSandboxStatusRequestType = new MessageType({
  podSandboxId: string(1),
  verbose: boolean(2),
});
export const podSandboxStatusResponseType = new MessageType({
  status: message(1, podSandboxStatusType),
  info: stringMap(2),
  containersStatuses: messages(3, containerStatusType),
  timestamp: int64(4),
});
const podSandboxStateValueType = new MessageType({
  state: integer(1),
});
export const podSandboxFilterType = new MessageType({
  id: string(1),
  state: message(2, podSandboxStateValueType),
  labelSelector: stringMap(3),
});
export const listPodSandboxRequestType = new MessageType({
  filter: message(1, podSandboxFilterType),
});
const podSandboxType = new MessageType({
  id: string(1),
  metadata: message(2, podSandboxMetadataType),
  state: integer(3),
  createdAt: int64(4),
  labels: stringMap(5),
  annotations: stringMap(6),
  runtimeHandler: string(7),
});
export const listPodSandboxResponseType = new MessageType({
  items: messages(1, podSandboxType),
});
export const updatePodSandboxResourcesRequestType = new MessageType({
  podSandboxId: string(1),
  overhead: message(2, linuxContainerResourcesType),
  resources: message(3, linuxContainerResourcesType),
});
export const updatePodSandboxResourcesResponseType = new MessageType({});
