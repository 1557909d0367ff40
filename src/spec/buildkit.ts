/** Messages of BuildKit's API. Source: moby/buildkit api/services/control/control.proto, api/types/worker.proto (field numbers). */
import { definitionType, metaType, mountType, nameValueType, progressGroupType, rangeType } from "./llb.ts";
import {
  boolean,
  byteStrings,
  bytes,
  bytesMap,
  type DraftOf,
  int64,
  integer,
  integers,
  type MessageOf,
  MessageType,
  message,
  messageMap,
  messages,
  string,
  stringMap,
  strings,
} from "./protobuf.ts";

export const emptyType = new MessageType({});

/** google.protobuf.Any, google.rpc.Status */
const anyType = new MessageType({ typeUrl: string(1), value: bytes(2) });
export const statusType = new MessageType({ code: integer(1), message: string(2), details: messages(3, anyType) });

const platformType = new MessageType({ architecture: string(1), os: string(2), variant: string(3) });
const versionType = new MessageType({ package: string(1), version: string(2), revision: string(3) });

const workerType = new MessageType({
  id: string(1),
  labels: stringMap(2),
  platforms: messages(3, platformType),
  buildkitVersion: message(5, versionType),
});
export const listWorkersAnswerType = new MessageType({ workers: messages(1, workerType) });
export const infoAnswerType = new MessageType({ buildkitVersion: message(1, versionType) });

/** A piece of a stream. Source: moby/buildkit session/upload/upload.proto, session/filesync/filesync.proto. */
export const pieceType = new MessageType({ data: bytes(1) });

/** A file of fsutil's protocol. Its mode is that of Go's os.FileMode. */
const statType = new MessageType({
  /** Not UTF-8 always, as names of files are. */
  path: bytes(1),
  mode: integer(2),
  uid: integer(3),
  gid: integer(4),
  size: int64(5),
  mtimeNs: int64(6),
  linkPath: bytes(7),
  deviceMajor: int64(8),
  deviceMinor: int64(9),
  xattrs: bytesMap(10),
});
export type FileStat = MessageOf<typeof statType>;
export type RootStat = DraftOf<typeof statType>;

/** A packet of fsutil's protocol, by which directories are sent. Source: tonistiigi/fsutil types/wire.proto. */
export const packetType = new MessageType({
  kind: integer(1),
  stat: message(2, statType),
  id: integer(3),
  data: bytes(4),
});
export const PACKET_KINDS = { stat: 0, request: 1, data: 2, end: 3, error: 4 };

// --- Control ---

const timestampType = new MessageType({ seconds: int64(1), nanos: integer(2) });
const attributesType = new MessageType({ type: string(1), attributes: stringMap(2) });

const cacheOptionsType = new MessageType({
  exports: messages(4, attributesType),
  imports: messages(5, attributesType),
});

export const solveType = new MessageType({
  ref: string(1),
  definition: message(2, definitionType),
  exporterDeprecated: string(3),
  exporterAttributesDeprecated: stringMap(4),
  session: string(5),
  frontend: string(6),
  frontendAttributes: stringMap(7),
  cache: message(8, cacheOptionsType),
  entitlements: strings(9),
  frontendInputs: messageMap(10, definitionType),
  sourcePolicy: bytes(12),
  exporters: messages(13, attributesType),
});
export type SolveRequest = MessageOf<typeof solveType>;
export const solveAnswerType = new MessageType({ exporterResponse: stringMap(1) });

export const statusRequestType = new MessageType({ ref: string(1) });

const vertexType = new MessageType({
  digest: string(1),
  inputs: strings(2),
  name: string(3),
  cached: boolean(4),
  started: message(5, timestampType),
  completed: message(6, timestampType),
  error: string(7),
  progressGroup: message(8, progressGroupType),
});
const vertexStatusType = new MessageType({
  id: string(1),
  vertex: string(2),
  name: string(3),
  current: int64(4),
  total: int64(5),
  timestamp: message(6, timestampType),
  started: message(7, timestampType),
  completed: message(8, timestampType),
});
const vertexLogType = new MessageType({
  vertex: string(1),
  timestamp: message(2, timestampType),
  stream: integer(3),
  message: bytes(4),
});
const sourceInfoType = new MessageType({ filename: string(1), data: bytes(2) });
const vertexWarningType = new MessageType({
  vertex: string(1),
  level: integer(2),
  short: bytes(3),
  detail: byteStrings(4),
  url: string(5),
  info: message(6, sourceInfoType),
  ranges: messages(7, rangeType),
});
/** What a build's progress tells next. */
export const buildStatusType = new MessageType({
  vertexes: messages(1, vertexType),
  statuses: messages(2, vertexStatusType),
  logs: messages(3, vertexLogType),
  warnings: messages(4, vertexWarningType),
});
export type BuildStatus = DraftOf<typeof buildStatusType>;

export const usageRecordType = new MessageType({
  id: string(1),
  mutable: boolean(2),
  inUse: boolean(3),
  size: int64(4),
  createdAt: message(6, timestampType),
  lastUsedAt: message(7, timestampType),
  usageCount: integer(8),
  description: string(9),
  type: string(10),
  shared: boolean(11),
  parents: strings(12),
});
export type UsageRecord = DraftOf<typeof usageRecordType>;
export const diskUsageType = new MessageType({ filters: strings(1) });
export type DiskUsageRequest = MessageOf<typeof diskUsageType>;
export const diskUsageAnswerType = new MessageType({ records: messages(1, usageRecordType) });
export const pruneType = new MessageType({
  filters: strings(1),
  all: boolean(2),
  keepDurationNs: int64(3),
  keepBytes: int64(4),
});
export type PruneRequest = MessageOf<typeof pruneType>;

export const historyRequestType = new MessageType({ activeOnly: boolean(1), ref: string(2), earlyExit: boolean(3) });
export type HistoryRequest = MessageOf<typeof historyRequestType>;
const historyRecordType = new MessageType({
  ref: string(1),
  frontend: string(2),
  error: message(5, statusType),
  createdAt: message(6, timestampType),
  completedAt: message(7, timestampType),
  exporterResponse: stringMap(9),
  isPinned: boolean(14),
  cachedSteps: integer(15),
  steps: integer(16),
  completedSteps: integer(17),
});
export const historyEventType = new MessageType({ type: integer(1), record: message(2, historyRecordType) });
export type HistoryEventDraft = DraftOf<typeof historyEventType>;
export const historyUpdateType = new MessageType({ ref: string(1), pinned: boolean(2), isRemoved: boolean(3) });
export type HistoryUpdate = MessageOf<typeof historyUpdateType>;

// --- LLBBridge ---

const capabilityType = new MessageType({ id: string(1), enabled: boolean(2) });
export const pongType = new MessageType({
  frontendCapabilities: messages(1, capabilityType),
  llbCapabilities: messages(2, capabilityType),
  workers: messages(3, workerType),
});

export const bridgeSolveType = new MessageType({
  definition: message(1, definitionType),
  frontend: string(2),
  frontendOptions: stringMap(3),
  frontendInputs: messageMap(13, definitionType),
  evaluate: boolean(14),
  sourcePolicies: byteStrings(15),
});
export const evaluateType = new MessageType({ ref: string(1) });
export const readFileType = new MessageType({
  ref: string(1),
  path: string(2),
  range: message(3, new MessageType({ offset: integer(1), length: integer(2) })),
});
export const fileDataType = new MessageType({ data: bytes(1) });
export const readDirectoryType = new MessageType({ ref: string(1), path: string(2), pattern: string(3) });
export const directoryType = new MessageType({ entries: messages(1, statType) });
export const statFileType = new MessageType({ ref: string(1), path: string(2) });
export const fileStatType = new MessageType({ stat: message(1, statType) });
export const resolveImageType = new MessageType({
  ref: string(1),
  platform: message(2, platformType),
  resolveMode: string(3),
  logName: string(4),
  /** 0: a registry; 1: a layout that a session serves. */
  resolver: integer(5),
  sessionId: string(6),
  storeId: string(7),
});
export const imageConfigType = new MessageType({ digest: string(1), config: bytes(2), ref: string(3) });
const sourceOpType = new MessageType({ identifier: string(1), attributes: stringMap(2) });
export const resolveSourceType = new MessageType({
  source: message(1, sourceOpType),
  platform: message(2, platformType),
  logName: string(3),
  resolveMode: string(4),
});
export const sourceMetaType = new MessageType({
  source: message(1, sourceOpType),
  image: message(2, new MessageType({ digest: string(1), config: bytes(2) })),
});
export const inputsType = new MessageType({ definitions: messageMap(1, definitionType) });
export const warnType = new MessageType({
  digest: string(1),
  level: integer(2),
  short: bytes(3),
  detail: byteStrings(4),
  url: string(5),
  info: message(6, sourceInfoType),
  ranges: messages(7, rangeType),
});

/** A result that the daemon keeps for the client. */
const refType = new MessageType({ id: string(1), definition: message(2, definitionType) });
const refMapType = new MessageType({ refs: messageMap(1, refType) });
const resultType = new MessageType({
  ref: message(3, refType),
  refs: message(4, refMapType),
  metadata: bytesMap(10),
});
export type Result = MessageOf<typeof resultType>;
export type ResultDraft = DraftOf<typeof resultType>;
export type BridgeSolveRequest = MessageOf<typeof bridgeSolveType>;
export const bridgeSolveAnswerType = new MessageType({ result: message(3, resultType) });
export const returnType = new MessageType({ result: message(1, resultType), error: message(2, statusType) });

/** A container of the gateway. */
export const newContainerType = new MessageType({
  containerId: string(1),
  mounts: messages(2, mountType),
  network: integer(3),
  extraHosts: messages(6, nameValueType),
  hostname: string(7),
});
export const releaseContainerType = new MessageType({ containerId: string(1) });

/** What is said of a process in such a container, in both directions. */
export const execMessageType = new MessageType({
  processId: string(1),
  init: message(
    2,
    new MessageType({
      containerId: string(1),
      meta: message(2, metaType),
      fds: integers(3),
      hasTerminal: boolean(4),
    }),
  ),
  file: message(3, new MessageType({ fd: integer(1), isEnd: boolean(2), data: bytes(3) })),
  resize: message(4, new MessageType({ rows: integer(1), columns: integer(2) })),
  started: message(5, emptyType),
  exit: message(6, new MessageType({ code: integer(1), error: message(2, statusType) })),
  done: message(7, emptyType),
  signal: message(8, new MessageType({ name: string(1) })),
});
export type ExecMessage = MessageOf<typeof execMessageType>;
export type ExecDraft = DraftOf<typeof execMessageType>;

// --- Session ---

/** Source: moby/buildkit session/auth/auth.proto. */
export const credentialsRequestType = new MessageType({ host: string(1) });
export const credentialsType = new MessageType({ username: string(1), secret: string(2) });
export const authorityRequestType = new MessageType({ host: string(1), salt: bytes(2) });
export const tokenRequestType = new MessageType({
  clientId: string(1),
  host: string(2),
  realm: string(3),
  service: string(4),
  scopes: strings(5),
});
export const tokenType = new MessageType({ token: string(1), expiresInSeconds: int64(2), issuedAtSeconds: int64(3) });

/** Source: moby/buildkit session/secrets/secrets.proto, session/sshforward/ssh.proto. */
export const secretRequestType = new MessageType({ id: string(1) });
export const secretType = new MessageType({ data: bytes(1) });
export const agentRequestType = new MessageType({ id: string(1) });

// --- Content stores of the session ---

/** Source: containerd api/services/content/v1/content.proto. */
export const contentInfoRequestType = new MessageType({ digest: string(1) });
export const contentReadType = new MessageType({ digest: string(1), offset: int64(2), size: int64(3) });
export const contentReadAnswerType = new MessageType({ offset: int64(1), data: bytes(2) });
export const contentWriteType = new MessageType({
  action: integer(1),
  ref: string(2),
  total: int64(3),
  expected: string(4),
  offset: int64(5),
  data: bytes(6),
});
export const contentWriteAnswerType = new MessageType({
  action: integer(1),
  offset: int64(4),
  total: int64(5),
  digest: string(6),
});
export const CONTENT_ACTIONS = { stat: 0, write: 1, commit: 2 };
