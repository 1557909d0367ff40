/**
 * Reads config.json and its parts. Types and ranges are checked; all else is checked where a field is used. Unknown properties
 * are ignored (runtime-spec config.md#extensibility).
 */
import { LighterError } from "../base/errors.ts";
import { DEVICE_RULES_MAX, SECCOMP_MAX_NAMES, SECCOMP_MAX_RULES } from "../base/limits.ts";
import type * as Oci from "./oci-runtime.ts";
import {
  anything,
  boolean,
  int32,
  int64,
  integer,
  list,
  map,
  object,
  oneOf,
  type Reader,
  readDocument,
  string,
  uint16,
  uint32,
  uint64,
} from "./reader.ts";

/** The largest doubles that are within the 64-bit types. */
const INT64_DOUBLE_MAX = 2 ** 63 - 2 ** 10;
const UINT64_DOUBLE_MAX = 2 ** 64 - 2 ** 11;

/**
 * Reads 64-bit fields that are numbers in our types. Beyond 2^53 (no limit that anybody can reach, or "unlimited") they are
 * rounded, but never out of their type's range. In seccomp, where bits matter, the value is kept.
 */
const i64: Reader<number> = (value, path) => Math.min(Number(int64(value, path)), INT64_DOUBLE_MAX);
const u64: Reader<number> = (value, path) => Math.min(Number(uint64(value, path)), UINT64_DOUBLE_MAX);

const strings = list(string);

const user = object<Oci.OciUser>(
  { uid: uint32, gid: uint32, umask: uint32, additionalGids: list(uint32) },
  { defaults: { uid: 0, gid: 0 } },
);

const capabilities = object<Oci.OciCapabilities>({
  bounding: strings,
  effective: strings,
  inheritable: strings,
  permitted: strings,
  ambient: strings,
});

const process = object<Oci.OciProcess>(
  {
    terminal: boolean,
    consoleSize: object<NonNullable<Oci.OciProcess["consoleSize"]>>(
      { height: uint16, width: uint16 },
      { defaults: { height: 0, width: 0 } },
    ),
    cwd: string,
    env: strings,
    args: strings,
    user,
    capabilities,
    rlimits: list(
      object<NonNullable<Oci.OciProcess["rlimits"]>[number]>(
        { type: string, soft: u64, hard: u64 },
        { required: ["type"], defaults: { soft: 0, hard: 0 } },
      ),
    ),
    noNewPrivileges: boolean,
    apparmorProfile: string,
    selinuxLabel: string,
    oomScoreAdj: int32,
    scheduler: object<Oci.OciScheduler>(
      {
        policy: string,
        nice: int32,
        priority: int32,
        flags: strings,
        runtime: u64,
        deadline: u64,
        period: u64,
      },
      { required: ["policy"] },
    ),
    ioPriority: object<NonNullable<Oci.OciProcess["ioPriority"]>>(
      { class: string, priority: int32 },
      { required: ["class"], defaults: { priority: 0 } },
    ),
    execCPUAffinity: object<NonNullable<Oci.OciProcess["execCPUAffinity"]>>({ initial: string, final: string }),
  },
  { required: ["cwd"] },
);

const idMappings = list(
  object<Oci.OciIdMapping>(
    { containerID: uint32, hostID: uint32, size: uint32 },
    { defaults: { containerID: 0, hostID: 0, size: 0 } },
  ),
);

const mount = object<Oci.OciMount>(
  {
    destination: string,
    type: string,
    source: string,
    options: strings,
    uidMappings: idMappings,
    gidMappings: idMappings,
  },
  { required: ["destination"] },
);

const hooks = list(
  object<Oci.OciHook>({ path: string, args: strings, env: strings, timeout: int32 }, { required: ["path"] }),
);

const device = object<Oci.OciDevice>(
  {
    path: string,
    type: string,
    major: i64,
    minor: i64,
    fileMode: uint32,
    uid: uint32,
    gid: uint32,
  },
  { required: ["path", "type"] },
);

const throttles = list(
  object<Oci.OciThrottle>({ major: i64, minor: i64, rate: u64 }, { defaults: { major: 0, minor: 0, rate: 0 } }),
);

type Part<K extends keyof Oci.OciResources> = NonNullable<Oci.OciResources[K]>;
type BlockIo = Part<"blockIO">;

const resources = object<Oci.OciResources>({
  devices: list(
    object<Oci.OciDeviceRule>(
      { allow: boolean, type: string, major: i64, minor: i64, access: string },
      { defaults: { allow: false } },
    ),
    DEVICE_RULES_MAX,
  ),
  memory: object<Part<"memory">>({
    limit: i64,
    reservation: i64,
    swap: i64,
    kernel: i64,
    kernelTCP: i64,
    swappiness: u64,
    disableOOMKiller: boolean,
    useHierarchy: boolean,
    checkBeforeUpdate: boolean,
  }),
  cpu: object<Part<"cpu">>({
    shares: u64,
    quota: i64,
    burst: u64,
    period: u64,
    realtimeRuntime: i64,
    realtimePeriod: u64,
    cpus: string,
    mems: string,
    idle: i64,
  }),
  pids: object<Part<"pids">>({ limit: i64 }),
  blockIO: object<BlockIo>({
    weight: uint16,
    leafWeight: uint16,
    weightDevice: list(
      object<NonNullable<BlockIo["weightDevice"]>[number]>(
        { major: i64, minor: i64, weight: uint16, leafWeight: uint16 },
        { defaults: { major: 0, minor: 0 } },
      ),
    ),
    throttleReadBpsDevice: throttles,
    throttleWriteBpsDevice: throttles,
    throttleReadIOPSDevice: throttles,
    throttleWriteIOPSDevice: throttles,
  }),
  hugepageLimits: list(
    object<Part<"hugepageLimits">[number]>(
      { pageSize: string, limit: u64 },
      { required: ["pageSize"], defaults: { limit: 0 } },
    ),
  ),
  network: object<Part<"network">>({
    classID: uint32,
    priorities: list(
      object<NonNullable<Part<"network">["priorities"]>[number]>(
        { name: string, priority: uint32 },
        { required: ["name"], defaults: { priority: 0 } },
      ),
    ),
  }),
  rdma: map(object<Part<"rdma">[string]>({ hcaHandles: uint32, hcaObjects: uint32 })),
  unified: map(string),
});

const seccomp = object<Oci.OciSeccomp>(
  {
    defaultAction: string,
    defaultErrnoRet: uint32,
    architectures: strings,
    flags: strings,
    listenerPath: string,
    listenerMetadata: string,
    syscalls: list(
      object<Oci.OciSeccompRule>(
        {
          names: list(string, SECCOMP_MAX_NAMES),
          action: string,
          errnoRet: uint32,
          args: list(
            object<Oci.OciSeccompArg>(
              { index: uint32, value: uint64, valueTwo: uint64, op: string },
              { required: ["op"], defaults: { index: 0, value: 0 } },
            ),
          ),
        },
        { required: ["names", "action"] },
      ),
      SECCOMP_MAX_RULES,
    ),
  },
  { required: ["defaultAction"] },
);

export const NAMESPACE_TYPES = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"] as const;

type Linux<K extends keyof Oci.OciLinux> = NonNullable<Oci.OciLinux[K]>;

const timeOffset = object<{ secs: number; nanosecs: number }>(
  { secs: i64, nanosecs: integer(0, 999_999_999) },
  { defaults: { secs: 0, nanosecs: 0 } },
);

const linux = object<Oci.OciLinux>({
  namespaces: list(
    object<Linux<"namespaces">[number]>({ type: oneOf(...NAMESPACE_TYPES), path: string }, { required: ["type"] }),
  ),
  uidMappings: idMappings,
  gidMappings: idMappings,
  timeOffsets: object<Linux<"timeOffsets">>({ monotonic: timeOffset, boottime: timeOffset }),
  devices: list(device),
  cgroupsPath: string,
  resources,
  intelRdt: map(anything),
  sysctl: map(string),
  seccomp,
  rootfsPropagation: string,
  maskedPaths: strings,
  readonlyPaths: strings,
  mountLabel: string,
  personality: object<Linux<"personality">>({ domain: string, flags: strings }, { required: ["domain"] }),
  netDevices: map(object<Linux<"netDevices">[string]>({ name: string })),
  memoryPolicy: object<Linux<"memoryPolicy">>({ mode: string, nodes: string, flags: strings }, { required: ["mode"] }),
});

const config = object<Oci.OciConfig>(
  {
    ociVersion: string,
    process,
    root: object<NonNullable<Oci.OciConfig["root"]>>({ path: string, readonly: boolean }, { required: ["path"] }),
    hostname: string,
    domainname: string,
    mounts: list(mount),
    hooks: object<Oci.OciHooks>({
      prestart: hooks,
      createRuntime: hooks,
      createContainer: hooks,
      startContainer: hooks,
      poststart: hooks,
      poststop: hooks,
    }),
    annotations: map(string),
    linux,
  },
  { required: ["ociVersion"] },
);

/**
 * Parses config.json.
 * @param where What to call the document in errors.
 * @throws LighterError ("invalid"/"not-supported") naming the document and the field.
 */
export function parseOciConfig(json: string, where: string): Oci.OciConfig {
  return readDocument(readConfig, json, where);
}

/** Parses process.json of `exec --process`. */
export function parseOciProcess(json: string, where: string): Oci.OciProcess {
  return readDocument(process, json, where);
}

/** Parses the document of `update --resources`. */
export function parseOciResources(json: string, where: string): Oci.OciResources {
  return readDocument(resources, json, where);
}

function readConfig(value: unknown, path: string): Oci.OciConfig {
  const result = config(value, path);
  if (!/^1\.\d+\.\d+(?:[-+].*)?$/.test(result.ociVersion))
    throw new LighterError("not-supported", `ociVersion ${JSON.stringify(result.ociVersion)} is not supported`);
  return result;
}
