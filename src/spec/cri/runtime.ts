/** Messages of Kubernetes' runtime interface: the runtime itself. Source: kubernetes/cri-api pkg/apis/runtime/v1/api.proto. */
import { boolean, integer, MessageType, message, messages, string, stringMap } from "../protobuf.ts";

export const versionRequestType = new MessageType({
  version: string(1),
});
export const versionResponseType = new MessageType({
  version: string(1),
  runtimeName: string(2),
  runtimeVersion: string(3),
  runtimeApiVersion: string(4),
});
const networkConfigType = new MessageType({
  podCidr: string(1),
});
const runtimeConfigType = new MessageType({
  networkConfig: message(1, networkConfigType),
});
export const updateRuntimeConfigRequestType = new MessageType({
  runtimeConfig: message(1, runtimeConfigType),
});
export const updateRuntimeConfigResponseType = new MessageType({});
const runtimeConditionType = new MessageType({
  type: string(1),
  status: boolean(2),
  reason: string(3),
  message: string(4),
});
const runtimeStatusType = new MessageType({
  conditions: messages(1, runtimeConditionType),
});
export const statusRequestType = new MessageType({
  verbose: boolean(1),
});
const runtimeHandlerFeaturesType = new MessageType({
  recursiveReadOnlyMounts: boolean(1),
  userNamespaces: boolean(2),
});
const runtimeHandlerType = new MessageType({
  name: string(1),
  features: message(2, runtimeHandlerFeaturesType),
});
const runtimeFeaturesType = new MessageType({
  supplementalGroupsPolicy: boolean(1),
});
export const statusResponseType = new MessageType({
  status: message(1, runtimeStatusType),
  info: stringMap(2),
  runtimeHandlers: messages(3, runtimeHandlerType),
  features: message(4, runtimeFeaturesType),
});
export const runtimeConfigRequestType = new MessageType({});
const linuxRuntimeConfigurationType = new MessageType({
  cgroupDriver: integer(1),
});
export const runtimeConfigResponseType = new MessageType({
  linux: message(1, linuxRuntimeConfigurationType),
});
