/** Messages of Kubernetes' runtime interface: statistics and metrics. Source: kubernetes/cri-api pkg/apis/runtime/v1/api.proto. */

import { double, int64, integer, MessageType, message, messages, string, stringMap, strings } from "../protobuf.ts";
import { containerMetadataType, filesystemUsageType, podSandboxMetadataType, uInt64ValueType } from "./common.ts";

export const podSandboxStatsRequestType = new MessageType({
  podSandboxId: string(1),
});
const podSandboxAttributesType = new MessageType({
  id: string(1),
  metadata: message(2, podSandboxMetadataType),
  labels: stringMap(3),
  annotations: stringMap(4),
});
const psiDataType = new MessageType({
  total: integer(1),
  avg10: double(2),
  avg60: double(3),
  avg300: double(4),
});
const psiStatsType = new MessageType({
  full: message(1, psiDataType),
  some: message(2, psiDataType),
});
const cpuUsageType = new MessageType({
  timestamp: int64(1),
  usageCoreNanoSeconds: message(2, uInt64ValueType),
  usageNanoCores: message(3, uInt64ValueType),
  psi: message(4, psiStatsType),
});
const memoryUsageType = new MessageType({
  timestamp: int64(1),
  workingSetBytes: message(2, uInt64ValueType),
  availableBytes: message(3, uInt64ValueType),
  usageBytes: message(4, uInt64ValueType),
  rssBytes: message(5, uInt64ValueType),
  pageFaults: message(6, uInt64ValueType),
  majorPageFaults: message(7, uInt64ValueType),
  psi: message(8, psiStatsType),
});
const ioUsageType = new MessageType({
  timestamp: int64(1),
  psi: message(2, psiStatsType),
});
const networkInterfaceUsageType = new MessageType({
  name: string(1),
  rxBytes: message(2, uInt64ValueType),
  rxErrors: message(3, uInt64ValueType),
  txBytes: message(4, uInt64ValueType),
  txErrors: message(5, uInt64ValueType),
});
const networkUsageType = new MessageType({
  timestamp: int64(1),
  defaultInterface: message(2, networkInterfaceUsageType),
  interfaces: messages(3, networkInterfaceUsageType),
});
const processUsageType = new MessageType({
  timestamp: int64(1),
  processCount: message(2, uInt64ValueType),
});
const containerAttributesType = new MessageType({
  id: string(1),
  metadata: message(2, containerMetadataType),
  labels: stringMap(3),
  annotations: stringMap(4),
});
const swapUsageType = new MessageType({
  timestamp: int64(1),
  swapAvailableBytes: message(2, uInt64ValueType),
  swapUsageBytes: message(3, uInt64ValueType),
});
const containerStatsType = new MessageType({
  attributes: message(1, containerAttributesType),
  cpu: message(2, cpuUsageType),
  memory: message(3, memoryUsageType),
  writableLayer: message(4, filesystemUsageType),
  swap: message(5, swapUsageType),
  io: message(6, ioUsageType),
});
const linuxPodSandboxStatsType = new MessageType({
  cpu: message(1, cpuUsageType),
  memory: message(2, memoryUsageType),
  network: message(3, networkUsageType),
  process: message(4, processUsageType),
  containers: messages(5, containerStatsType),
  io: message(6, ioUsageType),
});
const podSandboxStatsType = new MessageType({
  attributes: message(1, podSandboxAttributesType),
  linux: message(2, linuxPodSandboxStatsType),
});
export const podSandboxStatsResponseType = new MessageType({
  stats: message(1, podSandboxStatsType),
});
export const podSandboxStatsFilterType = new MessageType({
  id: string(1),
  labelSelector: stringMap(2),
});
export const listPodSandboxStatsRequestType = new MessageType({
  filter: message(1, podSandboxStatsFilterType),
});
export const listPodSandboxStatsResponseType = new MessageType({
  stats: messages(1, podSandboxStatsType),
});
export const containerStatsRequestType = new MessageType({
  containerId: string(1),
});
export const containerStatsResponseType = new MessageType({
  stats: message(1, containerStatsType),
});
export const containerStatsFilterType = new MessageType({
  id: string(1),
  podSandboxId: string(2),
  labelSelector: stringMap(3),
});
export const listContainerStatsRequestType = new MessageType({
  filter: message(1, containerStatsFilterType),
});
export const listContainerStatsResponseType = new MessageType({
  stats: messages(1, containerStatsType),
});
export const listMetricDescriptorsRequestType = new MessageType({});
const metricDescriptorType = new MessageType({
  name: string(1),
  help: string(2),
  labelKeys: strings(3),
});
export const listMetricDescriptorsResponseType = new MessageType({
  descriptors: messages(1, metricDescriptorType),
});
export const listPodSandboxMetricsRequestType = new MessageType({});
export const metricType = new MessageType({
  name: string(1),
  timestamp: int64(2),
  metricType: integer(3),
  labelValues: strings(4),
  value: message(5, uInt64ValueType),
});
const containerMetricsType = new MessageType({
  containerId: string(1),
  metrics: messages(2, metricType),
});
const podSandboxMetricsType = new MessageType({
  podSandboxId: string(1),
  metrics: messages(2, metricType),
  containerMetrics: messages(3, containerMetricsType),
});
export const listPodSandboxMetricsResponseType = new MessageType({
  podMetrics: messages(1, podSandboxMetricsType),
});
