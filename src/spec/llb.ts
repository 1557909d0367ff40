/** LLB: the operations of BuildKit's graphs as messages. Source: moby/buildkit solver/pb/ops.proto (field numbers). */
import {
  boolean,
  byteStrings,
  bytes,
  bytesMap,
  type DraftOf,
  int64,
  integer,
  type MessageOf,
  MessageType,
  message,
  messageMap,
  messages,
  string,
  stringMap,
  strings,
} from "./protobuf.ts";

const inputType = new MessageType({ digest: string(1), index: integer(2) });

// --- Commands ---

export const nameValueType = new MessageType({ name: string(1), value: string(2) });
const ulimitType = new MessageType({ name: string(1), soft: integer(2), hard: integer(3) });
const proxiesType = new MessageType({
  http_proxy: string(1),
  https_proxy: string(2),
  ftp_proxy: string(3),
  no_proxy: string(4),
  all_proxy: string(5),
});
export const metaType = new MessageType({
  args: strings(1),
  env: strings(2),
  cwd: string(3),
  user: string(4),
  proxies: message(5, proxiesType),
  extraHosts: messages(6, nameValueType),
  hostname: string(7),
  ulimits: messages(9, ulimitType),
  cgroupParent: string(10),
  removesStubs: boolean(11),
});
const clientFileType = new MessageType({
  id: string(1),
  uid: integer(2),
  gid: integer(3),
  mode: integer(4),
  optional: boolean(5),
});
/** The fields from 100 on are ours: BuildKit has them from a directory that the cache begins with. */
const cacheType = new MessageType({
  id: string(1),
  sharing: integer(2),
  mode: integer(100),
  uid: integer(101),
  gid: integer(102),
});
export const mountType = new MessageType({
  input: integer(1),
  selector: string(2),
  target: string(3),
  output: integer(4),
  readOnly: boolean(5),
  type: integer(6),
  tmpfs: message(19, new MessageType({ sizeBytes: integer(1) })),
  cache: message(20, cacheType),
  secret: message(21, clientFileType),
  ssh: message(22, clientFileType),
  /** The id of a result, in place of an input. */
  result: string(23),
});
export type LlbMount = MessageOf<typeof mountType>;
export const MOUNT_TYPES = { bind: 0, secret: 1, ssh: 2, cache: 3, tmpfs: 4 };
const execType = new MessageType({
  meta: message(1, metaType),
  mounts: messages(2, mountType),
  network: integer(3),
  security: integer(4),
  secretEnv: messages(5, new MessageType({ id: string(1), name: string(2), optional: boolean(3) })),
  cdiDevices: byteStrings(6),
});
export type LlbExec = MessageOf<typeof execType>;

// --- Files ---

const userType = new MessageType({
  byName: message(1, new MessageType({ name: string(1), input: integer(2) })),
  byId: integer(2),
});
const ownerType = new MessageType({ user: message(1, userType), group: message(2, userType) });
export type LlbOwner = MessageOf<typeof ownerType>;
const copyType = new MessageType({
  source: string(1),
  destination: string(2),
  owner: message(3, ownerType),
  mode: integer(4),
  followSymlink: boolean(5),
  copiesContents: boolean(6),
  unpack: boolean(7),
  createDestination: boolean(8),
  allowWildcard: boolean(9),
  allowEmptyWildcard: boolean(10),
  timestamp: int64(11),
  include: strings(12),
  exclude: strings(13),
  replacesExisting: boolean(14),
  modeText: string(15),
  required: strings(16),
  /** Ours: it does not see what is copied into, but for links on the way. */
  isLink: boolean(100),
});
export type LlbCopy = MessageOf<typeof copyType>;
const makeFileType = new MessageType({
  path: string(1),
  mode: integer(2),
  data: bytes(3),
  owner: message(4, ownerType),
  timestamp: int64(5),
});
const makeDirectoryType = new MessageType({
  path: string(1),
  mode: integer(2),
  makesParents: boolean(3),
  owner: message(4, ownerType),
  timestamp: int64(5),
});
const removeType = new MessageType({ path: string(1), allowNotFound: boolean(2), allowWildcard: boolean(3) });
const makeSymlinkType = new MessageType({
  target: string(1),
  path: string(2),
  owner: message(3, ownerType),
  timestamp: int64(4),
});
const fileActionType = new MessageType({
  input: integer(1),
  secondaryInput: integer(2),
  output: integer(3),
  copy: message(4, copyType),
  makeFile: message(5, makeFileType),
  makeDirectory: message(6, makeDirectoryType),
  remove: message(7, removeType),
  makeSymlink: message(8, makeSymlinkType),
});
export type LlbFileAction = MessageOf<typeof fileActionType>;

// --- The graph ---

const sourceType = new MessageType({ identifier: string(1), attributes: stringMap(2) });
export type LlbSource = MessageOf<typeof sourceType>;
const platformType = new MessageType({ architecture: string(1), os: string(2), variant: string(3) });
const inputOnlyType = new MessageType({ input: integer(1) });

export const opType = new MessageType({
  inputs: messages(1, inputType),
  exec: message(2, execType),
  source: message(3, sourceType),
  file: message(4, new MessageType({ actions: messages(2, fileActionType) })),
  build: message(5, new MessageType({})),
  merge: message(6, new MessageType({ inputs: messages(1, inputOnlyType) })),
  diff: message(7, new MessageType({ lower: message(1, inputOnlyType), upper: message(2, inputOnlyType) })),
  platform: message(10, platformType),
});
export type LlbOp = MessageOf<typeof opType>;

/** Operations that progress shows as one. */
export const progressGroupType = new MessageType({ id: string(1), name: string(2), weak: boolean(3) });
/** What is said of an operation that makes no difference to its result. */
export const opMetadataType = new MessageType({
  ignoreCache: boolean(1),
  description: stringMap(2),
  progressGroup: message(6, progressGroupType),
});

const positionType = new MessageType({ line: integer(1), character: integer(2) });
export const rangeType = new MessageType({ start: message(1, positionType), end: message(2, positionType) });
/** Texts that a graph was made of, and what is where in them, by digests. */
const sourcesType = new MessageType({
  locations: messageMap(
    1,
    new MessageType({
      locations: messages(1, new MessageType({ sourceIndex: integer(1), ranges: messages(2, rangeType) })),
    }),
  ),
  infos: messages(2, new MessageType({ filename: string(1), data: bytes(2), language: string(4) })),
});

/** A graph of operations, each one marshalled. The last has only an input: what the graph is for. */
export const definitionType = new MessageType({
  operations: byteStrings(1),
  metadata: bytesMap(2),
  sources: message(3, sourcesType),
});
export type Definition = MessageOf<typeof definitionType>;
export type DefinitionDraft = DraftOf<typeof definitionType>;
