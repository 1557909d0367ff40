import type { LighterError } from "../../base/errors.ts";
import type {
  DockerContainerConfig,
  DockerCreateBody,
  DockerEndpointSettings,
  DockerHostConfig,
} from "../../spec/docker-api.ts";
import { invalid, notSupported } from "./errors.ts";

/** How a field's JSON must look. `command`: a list of strings or, as Go accepts, one string. */
type Shape =
  | "string"
  | "boolean"
  | "integer"
  | "strings"
  | "command"
  | "stringMap"
  /** Keys with empty objects. */
  | "set"
  /** Anything: fields that are refused unless empty. */
  | "any"
  | { object: Fields }
  | { list: Fields }
  /** Any names, each with a value of this shape; `null` is an empty one. */
  | { map: Shape };

/**
 * What becomes of a field.
 * handled: used, or checked and then used. informative: kept for `inspect`; it changes nothing in Docker on Linux either.
 * refused: Lighter cannot do it (yet), so a value other than the empty one is an error that names the field.
 */
export type Fate = "handled" | "informative" | "refused";

export interface Field {
  shape: Shape;
  fate: Fate;
  /** For refused fields: a sentence about why. */
  why?: string;
}

export type Fields = Readonly<Record<string, Field>>;

const handled = (shape: Shape): Field => ({ shape, fate: "handled" });
const informative = (shape: Shape): Field => ({ shape, fate: "informative" });
const refused = (why: string): Field => ({ shape: "any", fate: "refused", why });

const THROTTLE_DEVICES = handled({ list: { Path: handled("string"), Rate: handled("integer") } });
const NO_SHARING = "sharing with another container that way is not available yet";

const MOUNT_FIELDS: Fields = {
  Target: handled("string"),
  Source: handled("string"),
  Type: handled("string"),
  ReadOnly: handled("boolean"),
  // Only ever meant something to Docker Desktop for Mac.
  Consistency: informative("string"),
  BindOptions: handled({
    object: {
      Propagation: handled("string"),
      NonRecursive: handled("boolean"),
      CreateMountpoint: handled("boolean"),
      ReadOnlyNonRecursive: handled("boolean"),
      ReadOnlyForceRecursive: handled("boolean"),
    },
  }),
  VolumeOptions: handled({
    object: {
      NoCopy: handled("boolean"),
      Labels: handled("stringMap"),
      DriverConfig: handled({ object: { Name: handled("string"), Options: handled("stringMap") } }),
      Subpath: handled("string"),
    },
  }),
  TmpfsOptions: handled({ object: { SizeBytes: handled("integer"), Mode: handled("integer") } }),
};

/** Of a container's place in a network: the wishes. What answers have beside them, clients send back. */
export const ENDPOINT_FIELDS: Fields = {
  IPAMConfig: handled({
    object: { IPv4Address: handled("string"), IPv6Address: handled("string"), LinkLocalIPs: handled("strings") },
  }),
  Links: handled("strings"),
  Aliases: handled("strings"),
  MacAddress: handled("string"),
  DriverOpts: handled("stringMap"),
  GwPriority: handled("integer"),
  ...Object.fromEntries(
    [
      ...["NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address"],
      ...["GlobalIPv6PrefixLen", "DNSNames"],
    ].map((name) => [name, informative("any")]),
  ),
};

/** Every field of HostConfig in Docker Engine API v1.45. */
export const HOST_CONFIG_FIELDS: Fields = {
  CpuShares: handled("integer"),
  Memory: handled("integer"),
  CgroupParent: handled("string"),
  BlkioWeight: handled("integer"),
  BlkioWeightDevice: handled({ list: { Path: handled("string"), Weight: handled("integer") } }),
  BlkioDeviceReadBps: THROTTLE_DEVICES,
  BlkioDeviceWriteBps: THROTTLE_DEVICES,
  BlkioDeviceReadIOps: THROTTLE_DEVICES,
  BlkioDeviceWriteIOps: THROTTLE_DEVICES,
  CpuPeriod: handled("integer"),
  CpuQuota: handled("integer"),
  CpuRealtimePeriod: handled("integer"),
  CpuRealtimeRuntime: handled("integer"),
  CpusetCpus: handled("string"),
  CpusetMems: handled("string"),
  Devices: handled({
    list: {
      PathOnHost: handled("string"),
      PathInContainer: handled("string"),
      CgroupPermissions: handled("string"),
    },
  }),
  DeviceCgroupRules: handled("strings"),
  DeviceRequests: refused("device drivers (GPUs) are not available"),
  KernelMemoryTCP: refused("the kernel has dropped this limit"),
  MemoryReservation: handled("integer"),
  MemorySwap: handled("integer"),
  MemorySwappiness: handled("integer"),
  NanoCpus: handled("integer"),
  OomKillDisable: handled("boolean"),
  Init: handled("boolean"),
  PidsLimit: handled("integer"),
  Ulimits: handled({
    list: { Name: handled("string"), Soft: handled("integer"), Hard: handled("integer") },
  }),
  CpuCount: refused("it is for Windows"),
  CpuPercent: handled("integer"),
  IOMaximumIOps: handled("integer"),
  IOMaximumBandwidth: handled("integer"),
  Binds: handled("strings"),
  ContainerIDFile: informative("string"),
  LogConfig: handled({ object: { Type: handled("string"), Config: handled("stringMap") } }),
  NetworkMode: handled("string"),
  PortBindings: handled({ map: { list: { HostIp: handled("string"), HostPort: handled("string") } } }),
  RestartPolicy: handled({ object: { Name: handled("string"), MaximumRetryCount: handled("integer") } }),
  AutoRemove: handled("boolean"),
  VolumeDriver: handled("string"),
  VolumesFrom: handled("strings"),
  Mounts: handled({ list: MOUNT_FIELDS }),
  ConsoleSize: handled("any"),
  Annotations: handled("stringMap"),
  CapAdd: handled("strings"),
  CapDrop: handled("strings"),
  CgroupnsMode: handled("string"),
  Dns: handled("strings"),
  DnsOptions: handled("strings"),
  DnsSearch: handled("strings"),
  ExtraHosts: handled("strings"),
  GroupAdd: handled("strings"),
  IpcMode: handled("string"),
  Cgroup: refused(NO_SHARING),
  Links: handled("strings"),
  OomScoreAdj: handled("integer"),
  PidMode: handled("string"),
  Privileged: handled("boolean"),
  PublishAllPorts: handled("boolean"),
  ReadonlyRootfs: handled("boolean"),
  SecurityOpt: handled("strings"),
  StorageOpt: refused("the storage has no quotas"),
  Tmpfs: handled("stringMap"),
  UTSMode: handled("string"),
  UsernsMode: handled("string"),
  ShmSize: handled("integer"),
  Sysctls: handled("stringMap"),
  Runtime: handled("string"),
  Isolation: handled("string"),
  MaskedPaths: handled("strings"),
  ReadonlyPaths: handled("strings"),
};

/** Every field of ContainerConfig in Docker Engine API v1.45. */
export const CONTAINER_CONFIG_FIELDS: Fields = {
  Hostname: handled("string"),
  Domainname: handled("string"),
  User: handled("string"),
  // What `docker run` attached to; the attach request says what to do.
  AttachStdin: informative("boolean"),
  AttachStdout: informative("boolean"),
  AttachStderr: informative("boolean"),
  ExposedPorts: handled("set"),
  Tty: handled("boolean"),
  OpenStdin: handled("boolean"),
  StdinOnce: handled("boolean"),
  Env: handled("strings"),
  Cmd: handled("command"),
  Healthcheck: handled({
    object: {
      Test: handled("strings"),
      Interval: handled("integer"),
      Timeout: handled("integer"),
      StartPeriod: handled("integer"),
      StartInterval: handled("integer"),
      Retries: handled("integer"),
    },
  }),
  ArgsEscaped: informative("boolean"),
  Image: handled("string"),
  Volumes: handled("set"),
  WorkingDir: handled("string"),
  Entrypoint: handled("command"),
  NetworkDisabled: handled("boolean"),
  MacAddress: handled("string"),
  OnBuild: informative("strings"),
  Labels: informative("stringMap"),
  StopSignal: handled("string"),
  StopTimeout: informative("integer"),
  Shell: informative("command"),
};

/** Parameters of a create or commit, not fields of a container: dockerode sends what it is given in both places. */
const PARAMETERS = ["name", "platform", "container", "repo", "tag", "comment", "author", "pause", "changes"];
const PARAMETER_FIELDS: Fields = Object.fromEntries(PARAMETERS.map((name) => [name, informative("any")]));

/**
 * Reads the JSON of `POST /containers/create`: names in any case, as Go does; `null` is absent; every value of its shape.
 * @throws LighterError "invalid" for a wrong shape; "not-supported" for a refused or unknown field that has a value,
 *   because a limit or a lock that is dropped in silence is worse than an error.
 */
export function parseCreateBody(body: unknown): {
  config: DockerContainerConfig;
  hostConfig: DockerHostConfig;
  endpoints: Readonly<Record<string, DockerEndpointSettings>>;
} {
  if (!isObject(body)) throw invalid("the body of a create request must be a JSON object");
  const fields = parseFields("", body, {
    ...CONTAINER_CONFIG_FIELDS,
    ...PARAMETER_FIELDS,
    HostConfig: handled({ object: HOST_CONFIG_FIELDS }),
    NetworkingConfig: handled({ object: { EndpointsConfig: handled({ map: { object: ENDPOINT_FIELDS } }) } }),
  });
  for (const name of PARAMETERS) delete fields[name];
  const { HostConfig, NetworkingConfig, ...config } = fields as DockerCreateBody;
  return { config, hostConfig: HostConfig ?? {}, endpoints: NetworkingConfig?.EndpointsConfig ?? {} };
}

/** @throws LighterError as `parseCreateBody` */
export function parseFields(prefix: string, value: Record<string, unknown>, fields: Fields): Record<string, unknown> {
  const parsed: Record<string, unknown> = {};
  for (const [key, fieldValue] of Object.entries(value)) {
    if (fieldValue === null || fieldValue === undefined) continue;
    const name = key in fields ? key : (namesOf(fields).get(key.toLowerCase()) ?? key);
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    const path = prefix === "" ? name : `${prefix}.${name}`;
    if (field === undefined || field.fate === "refused") {
      if (!isEmpty(fieldValue)) throw notSupported(path, field?.why ?? "this version does not know the field");
      continue;
    }
    parsed[name] = parseShape(path, fieldValue, field.shape);
  }
  return parsed;
}

const lowerCaseNames = new WeakMap<Fields, Map<string, string>>();

function namesOf(fields: Fields): Map<string, string> {
  let names = lowerCaseNames.get(fields);
  if (names === undefined) {
    names = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]));
    lowerCaseNames.set(fields, names);
  }
  return names;
}

function parseShape(path: string, value: unknown, shape: Shape): unknown {
  switch (shape) {
    case "string":
      return parseString(path, value);
    case "boolean":
      if (typeof value !== "boolean") throw wrongShape(path, "true or false", value);
      return value;
    case "integer":
      if (typeof value !== "number" || !Number.isInteger(value)) throw wrongShape(path, "an integer", value);
      if (!Number.isSafeInteger(value)) throw invalid(`${path}: ${value} is out of range`);
      return value;
    case "command":
      return typeof value === "string" ? [parseString(path, value)] : parseStrings(path, value);
    case "strings":
      return parseStrings(path, value);
    case "stringMap":
      if (!isObject(value)) throw wrongShape(path, "an object of strings", value);
      return Object.fromEntries(
        Object.entries(value).map(([key, each]) => [parseString(path, key), parseString(`${path}.${key}`, each)]),
      );
    case "set":
      if (!isObject(value)) throw wrongShape(path, "an object", value);
      return Object.fromEntries(Object.keys(value).map((key) => [parseString(path, key), {}]));
    case "any":
      return value;
  }
  if ("object" in shape) {
    if (!isObject(value)) throw wrongShape(path, "an object", value);
    return parseFields(path, value, shape.object);
  }
  if ("map" in shape) {
    if (!isObject(value)) throw wrongShape(path, "an object", value);
    const empty = typeof shape.map === "object" && "list" in shape.map ? [] : {};
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [
        parseString(path, key),
        parseShape(`${path}.${key}`, each ?? empty, shape.map),
      ]),
    );
  }
  if (!Array.isArray(value)) throw wrongShape(path, "a list", value);
  return value.map((each: unknown, index) => {
    if (!isObject(each)) throw wrongShape(`${path}[${index}]`, "an object", each);
    return parseFields(`${path}[${index}]`, each, shape.list);
  });
}

function parseStrings(path: string, value: unknown): string[] {
  if (!Array.isArray(value)) throw wrongShape(path, "a list of strings", value);
  return value.map((each: unknown, index) => parseString(`${path}[${index}]`, each));
}

/** No string of a container may hold a NUL: it would end early in the kernel, after every check saw the whole. */
function parseString(path: string, value: unknown): string {
  if (typeof value !== "string") throw wrongShape(path, "a string", value);
  if (value.includes("\0")) throw invalid(`${path}: has a NUL character`);
  return value;
}

/** Go's zero values, which clients send for "not given". */
function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (isObject(value)) return Object.values(value).every(isEmpty);
  return value === null || value === undefined || value === "" || value === 0 || value === false;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrongShape(path: string, expected: string, value: unknown): LighterError {
  const actual = Array.isArray(value) ? "a list" : value === null ? "null" : typeof value;
  return invalid(`${path}: must be ${expected}, is ${actual === "number" ? value : actual}`);
}
