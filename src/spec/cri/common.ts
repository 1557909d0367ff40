/** Messages of Kubernetes' runtime interface: what messages of several areas have in common. Source: kubernetes/cri-api pkg/apis/runtime/v1/api.proto. */
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

const dnsConfigType = new MessageType({
  servers: strings(1),
  searches: strings(2),
  options: strings(3),
});
const portMappingType = new MessageType({
  protocol: integer(1),
  containerPort: integer(2),
  hostPort: integer(3),
  hostIp: string(4),
});
export const idMappingType = new MessageType({
  hostId: integer(1),
  containerId: integer(2),
  length: integer(3),
});
export const imageSpecType = new MessageType({
  image: string(1),
  annotations: stringMap(2),
  userSpecifiedImage: string(18),
  runtimeHandler: string(19),
});
export const mountType = new MessageType({
  containerPath: string(1),
  hostPath: string(2),
  readonly: boolean(3),
  selinuxRelabel: boolean(4),
  propagation: integer(5),
  uidmappings: messages(6, idMappingType),
  gidmappings: messages(7, idMappingType),
  recursiveReadOnly: boolean(8),
  image: message(9, imageSpecType),
  imageSubPath: string(10),
});
const userNamespaceType = new MessageType({
  mode: integer(1),
  uids: messages(2, idMappingType),
  gids: messages(3, idMappingType),
});
export const namespaceOptionType = new MessageType({
  network: integer(1),
  pid: integer(2),
  ipc: integer(3),
  targetId: string(4),
  usernsOptions: message(5, userNamespaceType),
});
export const int64ValueType = new MessageType({
  value: integer(1),
});
export const selinuxOptionType = new MessageType({
  user: string(1),
  role: string(2),
  type: string(3),
  level: string(4),
});
export const securityProfileType = new MessageType({
  profileType: integer(1),
  localhostRef: string(2),
});
const linuxSandboxSecurityContextType = new MessageType({
  namespaceOptions: message(1, namespaceOptionType),
  selinuxOptions: message(2, selinuxOptionType),
  runAsUser: message(3, int64ValueType),
  runAsGroup: message(8, int64ValueType),
  readonlyRootfs: boolean(4),
  supplementalGroups: integers(5),
  supplementalGroupsPolicy: integer(11),
  privileged: boolean(6),
  seccomp: message(9, securityProfileType),
  apparmor: message(10, securityProfileType),
  seccompProfilePath: string(7),
});
const hugepageLimitType = new MessageType({
  pageSize: string(1),
  limit: integer(2),
});
export const linuxContainerResourcesType = new MessageType({
  cpuPeriod: integer(1),
  cpuQuota: integer(2),
  cpuShares: integer(3),
  memoryLimitInBytes: integer(4),
  oomScoreAdj: integer(5),
  cpusetCpus: string(6),
  cpusetMems: string(7),
  hugepageLimits: messages(8, hugepageLimitType),
  unified: stringMap(9),
  memorySwapLimitInBytes: integer(10),
});
const linuxPodSandboxConfigType = new MessageType({
  cgroupParent: string(1),
  securityContext: message(2, linuxSandboxSecurityContextType),
  sysctls: stringMap(3),
  overhead: message(4, linuxContainerResourcesType),
  resources: message(5, linuxContainerResourcesType),
});
export const podSandboxMetadataType = new MessageType({
  name: string(1),
  uid: string(2),
  namespace: string(3),
  attempt: integer(4),
});
export const podSandboxConfigType = new MessageType({
  metadata: message(1, podSandboxMetadataType),
  hostname: string(2),
  logDirectory: string(3),
  dnsConfig: message(4, dnsConfigType),
  portMappings: messages(5, portMappingType),
  labels: stringMap(6),
  annotations: stringMap(7),
  linux: message(8, linuxPodSandboxConfigType),
});
const podIPType = new MessageType({
  ip: string(1),
});
const podSandboxNetworkStatusType = new MessageType({
  ip: string(1),
  additionalIps: messages(2, podIPType),
});
const namespaceType = new MessageType({
  options: message(2, namespaceOptionType),
});
const linuxPodSandboxStatusType = new MessageType({
  namespaces: message(1, namespaceType),
});
export const podSandboxStatusType = new MessageType({
  id: string(1),
  metadata: message(2, podSandboxMetadataType),
  state: integer(3),
  createdAt: int64(4),
  network: message(5, podSandboxNetworkStatusType),
  linux: message(6, linuxPodSandboxStatusType),
  labels: stringMap(7),
  annotations: stringMap(8),
  runtimeHandler: string(9),
});
const linuxContainerUserType = new MessageType({
  uid: integer(1),
  gid: integer(2),
  supplementalGroups: integers(3),
});
export const containerMetadataType = new MessageType({
  name: string(1),
  attempt: integer(2),
});
const containerResourcesType = new MessageType({
  linux: message(1, linuxContainerResourcesType),
});
const containerUserType = new MessageType({
  linux: message(1, linuxContainerUserType),
});
export const containerStatusType = new MessageType({
  id: string(1),
  metadata: message(2, containerMetadataType),
  state: integer(3),
  createdAt: int64(4),
  startedAt: int64(5),
  finishedAt: int64(6),
  exitCode: integer(7),
  image: message(8, imageSpecType),
  imageRef: string(9),
  reason: string(10),
  message: string(11),
  labels: stringMap(12),
  annotations: stringMap(13),
  mounts: messages(14, mountType),
  logPath: string(15),
  resources: message(16, containerResourcesType),
  imageId: string(17),
  user: message(18, containerUserType),
  stopSignal: integer(19),
});
export const uInt64ValueType = new MessageType({
  value: integer(1),
});
const filesystemIdentifierType = new MessageType({
  mountpoint: string(1),
});
export const filesystemUsageType = new MessageType({
  timestamp: int64(1),
  fsId: message(2, filesystemIdentifierType),
  usedBytes: message(3, uInt64ValueType),
  inodesUsed: message(4, uInt64ValueType),
});
