/** Messages of Kubernetes' runtime interface: containers. Source: kubernetes/cri-api pkg/apis/runtime/v1/api.proto. */

import {
  boolean,
  int64,
  integer,
  integers,
  MessageType,
  message,
  messages,
  string,
  stringMap,
  strings,
} from "../protobuf.ts";
import {
  containerMetadataType,
  containerStatusType,
  imageSpecType,
  int64ValueType,
  linuxContainerResourcesType,
  mountType,
  namespaceOptionType,
  podSandboxConfigType,
  podSandboxStatusType,
  securityProfileType,
  selinuxOptionType,
} from "./common.ts";

const keyValueType = new MessageType({
  key: string(1),
  value: string(2),
});
export const capabilityType = new MessageType({
  addCapabilities: strings(1),
  dropCapabilities: strings(2),
  addAmbientCapabilities: strings(3),
});
export const linuxContainerSecurityContextType = new MessageType({
  capabilities: message(1, capabilityType),
  privileged: boolean(2),
  namespaceOptions: message(3, namespaceOptionType),
  selinuxOptions: message(4, selinuxOptionType),
  runAsUser: message(5, int64ValueType),
  runAsGroup: message(12, int64ValueType),
  runAsUsername: string(6),
  readonlyRootfs: boolean(7),
  supplementalGroups: integers(8),
  supplementalGroupsPolicy: integer(17),
  noNewPrivs: boolean(11),
  maskedPaths: strings(13),
  readonlyPaths: strings(14),
  seccomp: message(15, securityProfileType),
  apparmor: message(16, securityProfileType),
  apparmorProfile: string(9),
  seccompProfilePath: string(10),
});
const linuxContainerConfigType = new MessageType({
  resources: message(1, linuxContainerResourcesType),
  securityContext: message(2, linuxContainerSecurityContextType),
});
export const deviceType = new MessageType({
  containerPath: string(1),
  hostPath: string(2),
  permissions: string(3),
});
const cdiDeviceType = new MessageType({
  name: string(1),
});
export const containerConfigType = new MessageType({
  metadata: message(1, containerMetadataType),
  image: message(2, imageSpecType),
  command: strings(3),
  args: strings(4),
  workingDir: string(5),
  envs: messages(6, keyValueType),
  mounts: messages(7, mountType),
  devices: messages(8, deviceType),
  labels: stringMap(9),
  annotations: stringMap(10),
  logPath: string(11),
  stdin: boolean(12),
  stdinOnce: boolean(13),
  tty: boolean(14),
  linux: message(15, linuxContainerConfigType),
  cdiDevices: messages(17, cdiDeviceType),
  stopSignal: integer(18),
});
export const createContainerRequestType = new MessageType({
  podSandboxId: string(1),
  config: message(2, containerConfigType),
  sandboxConfig: message(3, podSandboxConfigType),
});
export const createContainerResponseType = new MessageType({
  containerId: string(1),
});
export const startContainerRequestType = new MessageType({
  containerId: string(1),
});
export const startContainerResponseType = new MessageType({});
export const stopContainerRequestType = new MessageType({
  containerId: string(1),
  timeout: integer(2),
});
export const stopContainerResponseType = new MessageType({});
export const removeContainerRequestType = new MessageType({
  containerId: string(1),
});
export const removeContainerResponseType = new MessageType({});
const containerStateValueType = new MessageType({
  state: integer(1),
});
export const containerFilterType = new MessageType({
  id: string(1),
  state: message(2, containerStateValueType),
  podSandboxId: string(3),
  labelSelector: stringMap(4),
});
export const listContainersRequestType = new MessageType({
  filter: message(1, containerFilterType),
});
const containerType = new MessageType({
  id: string(1),
  podSandboxId: string(2),
  metadata: message(3, containerMetadataType),
  image: message(4, imageSpecType),
  imageRef: string(5),
  state: integer(6),
  createdAt: int64(7),
  labels: stringMap(8),
  annotations: stringMap(9),
  imageId: string(10),
});
export const listContainersResponseType = new MessageType({
  containers: messages(1, containerType),
});
export const containerStatusRequestType = new MessageType({
  containerId: string(1),
  verbose: boolean(2),
});
export const containerStatusResponseType = new MessageType({
  status: message(1, containerStatusType),
  info: stringMap(2),
});
export const updateContainerResourcesRequestType = new MessageType({
  containerId: string(1),
  linux: message(2, linuxContainerResourcesType),
  annotations: stringMap(4),
});
export const updateContainerResourcesResponseType = new MessageType({});
export const reopenContainerLogRequestType = new MessageType({
  containerId: string(1),
});
export const reopenContainerLogResponseType = new MessageType({});
export const checkpointContainerRequestType = new MessageType({
  containerId: string(1),
  location: string(2),
  timeout: integer(3),
});
export const checkpointContainerResponseType = new MessageType({});
export const getEventsRequestType = new MessageType({});
export const containerEventResponseType = new MessageType({
  containerId: string(1),
  containerEventType: integer(2),
  createdAt: int64(3),
  podSandboxStatus: message(4, podSandboxStatusType),
  containersStatuses: messages(5, containerStatusType),
});
