/**
 * OCI runtime-spec 1.2, config.json for Linux: the shapes, spelled as on the wire.
 * Source: opencontainers/runtime-spec config.md and config-linux.md.
 */

export interface OciConfig {
  ociVersion: string;
  process?: OciProcess;
  root?: { path: string; readonly?: boolean };
  hostname?: string;
  domainname?: string;
  mounts?: OciMount[];
  hooks?: OciHooks;
  annotations?: Record<string, string>;
  linux?: OciLinux;
}

export interface OciProcess {
  terminal?: boolean;
  /** Rows (`height`) and columns (`width`) of the terminal. */
  consoleSize?: { height: number; width: number };
  cwd: string;
  env?: string[];
  args?: string[];
  user?: OciUser;
  capabilities?: OciCapabilities;
  rlimits?: { type: string; soft: number; hard: number }[];
  noNewPrivileges?: boolean;
  apparmorProfile?: string;
  selinuxLabel?: string;
  oomScoreAdj?: number;
  scheduler?: OciScheduler;
  ioPriority?: { class: string; priority: number };
  execCPUAffinity?: { initial?: string; final?: string };
}

export interface OciUser {
  uid: number;
  gid: number;
  umask?: number;
  additionalGids?: number[];
}

export interface OciCapabilities {
  bounding?: string[];
  effective?: string[];
  inheritable?: string[];
  permitted?: string[];
  ambient?: string[];
}

export interface OciScheduler {
  policy: string;
  nice?: number;
  priority?: number;
  flags?: string[];
  runtime?: number;
  deadline?: number;
  period?: number;
}

export interface OciIdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

export interface OciMount {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
  uidMappings?: OciIdMapping[];
  gidMappings?: OciIdMapping[];
}

/** A bind of ours that goes beyond the specification; it is never read from a bundle. */
export interface VolumeMount extends OciMount {
  /** A path below the source that is bound instead of it. No symlink leads out of the source. */
  part?: { path: string; type: "directory" | "file" };
  /** The number of a file system shared by this start, all of which is the source. */
  filesystem?: number;
  /** The source is a path in the container, where the mounts before this one are in sight. */
  inside?: boolean;
  /** The source's type, if somebody has looked at it before. */
  kind?: "directory" | "file" | "missing";
}

export interface OciHook {
  path: string;
  args?: string[];
  env?: string[];
  /** Seconds. */
  timeout?: number;
}

export interface OciHooks {
  prestart?: OciHook[];
  createRuntime?: OciHook[];
  createContainer?: OciHook[];
  startContainer?: OciHook[];
  poststart?: OciHook[];
  poststop?: OciHook[];
}

export type NamespaceType = "pid" | "network" | "mount" | "ipc" | "uts" | "user" | "cgroup" | "time";

export interface OciLinux {
  namespaces?: { type: NamespaceType; path?: string }[];
  uidMappings?: OciIdMapping[];
  gidMappings?: OciIdMapping[];
  timeOffsets?: Partial<Record<"monotonic" | "boottime", { secs: number; nanosecs: number }>>;
  devices?: OciDevice[];
  cgroupsPath?: string;
  resources?: OciResources;
  intelRdt?: Record<string, unknown>;
  sysctl?: Record<string, string>;
  seccomp?: OciSeccomp;
  rootfsPropagation?: string;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  mountLabel?: string;
  personality?: { domain: string; flags?: string[] };
  /** Network devices by their name on the host. */
  netDevices?: Record<string, { name?: string }>;
  memoryPolicy?: { mode: string; nodes?: string; flags?: string[] };
}

export interface OciDevice {
  path: string;
  /** The type: c, b, u or p. */
  type: string;
  major?: number;
  minor?: number;
  fileMode?: number;
  uid?: number;
  gid?: number;
}

/**
 * A device of ours beyond the specification, with the node's path on the host if that is not `path`: for users who may not make
 * nodes.
 */
export interface DeviceOfHost extends OciDevice {
  hostPath: string;
}

export interface OciDeviceRule {
  allow: boolean;
  /** The type: a, c or b; absent means a. */
  type?: string;
  /** Absent or -1 means any. */
  major?: number;
  minor?: number;
  /** A composition of r, w and m. */
  access?: string;
}

export interface OciThrottle {
  major: number;
  minor: number;
  rate: number;
}

export interface OciResources {
  devices?: OciDeviceRule[];
  memory?: {
    /** Bytes; -1 means unlimited. */
    limit?: number;
    reservation?: number;
    /** memory + swap, as on cgroup v1; -1 means unlimited. */
    swap?: number;
    kernel?: number;
    kernelTCP?: number;
    swappiness?: number;
    disableOOMKiller?: boolean;
    useHierarchy?: boolean;
    checkBeforeUpdate?: boolean;
  };
  cpu?: {
    /** CPU shares on cgroup v1's scale, 2–262144. */
    shares?: number;
    /** Microseconds per period; a negative value means unlimited. */
    quota?: number;
    /** Microseconds. */
    burst?: number;
    /** Microseconds. */
    period?: number;
    realtimeRuntime?: number;
    realtimePeriod?: number;
    cpus?: string;
    mems?: string;
    idle?: number;
  };
  pids?: { limit?: number };
  blockIO?: {
    /** The weight, 10–1000. */
    weight?: number;
    leafWeight?: number;
    weightDevice?: { major: number; minor: number; weight?: number; leafWeight?: number }[];
    throttleReadBpsDevice?: OciThrottle[];
    throttleWriteBpsDevice?: OciThrottle[];
    throttleReadIOPSDevice?: OciThrottle[];
    throttleWriteIOPSDevice?: OciThrottle[];
  };
  hugepageLimits?: { pageSize: string; limit: number }[];
  network?: { classID?: number; priorities?: { name: string; priority: number }[] };
  rdma?: Record<string, { hcaHandles?: number; hcaObjects?: number }>;
  /** Values by name of cgroup v2 file. */
  unified?: Record<string, string>;
}

export interface OciSeccompArg {
  index: number;
  value: number | bigint;
  valueTwo?: number | bigint;
  /** SCMP_CMP_… */
  op: string;
}

export interface OciSeccompRule {
  names: string[];
  /** SCMP_ACT_… */
  action: string;
  errnoRet?: number;
  args?: OciSeccompArg[];
}

export interface OciSeccomp {
  defaultAction: string;
  defaultErrnoRet?: number;
  /** SCMP_ARCH_… */
  architectures?: string[];
  /** SECCOMP_FILTER_FLAG_… */
  flags?: string[];
  listenerPath?: string;
  listenerMetadata?: string;
  syscalls?: OciSeccompRule[];
}

/** The output of `state` (runtime.md#state). */
export interface OciState {
  ociVersion: string;
  id: string;
  status: "creating" | "created" | "running" | "stopped";
  pid?: number;
  bundle: string;
  annotations?: Record<string, string>;
}
