/** The fields of the create request, with what Lighter does about each. */
import { type Fields, handled, informative, parseBody, refused } from "../../spec/body-fields.ts";
import type {
  DockerContainerConfig,
  DockerCreateBody,
  DockerEndpointSettings,
  DockerHostConfig,
} from "../../spec/docker-api.ts";

const THROTTLE_DEVICES = handled({ list: { Path: handled("string"), Rate: handled("integer") } });
const NO_SHARING = "sharing with another container that way is not available yet";

const MOUNT_FIELDS: Fields = {
  Target: handled("string"),
  Source: handled("string"),
  Type: handled("string"),
  ReadOnly: handled("boolean"),
  // This option only ever meant something to Docker Desktop for Mac.
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
  ImageOptions: handled({ object: { Subpath: handled("string") } }),
  TmpfsOptions: handled({
    object: {
      SizeBytes: handled("integer"),
      Mode: handled("integer"),
      Options: refused("only the size and the mode of a tmpfs mount can be set here: use Tmpfs"),
    },
  }),
};

/** The fields of an endpoint that are wishes. Clients send the others of Docker's answers back. */
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
  DeviceRequests: handled({
    list: {
      Driver: handled("string"),
      Count: handled("integer"),
      DeviceIDs: handled("strings"),
      Capabilities: handled("listsOfStrings"),
      Options: informative("stringMap"),
    },
  }),
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

/** Fields that were outside HostConfig before API 1.18; they count where HostConfig does not say. */
const FORMERLY_OUTSIDE = ["Memory", "MemorySwap", "CpuShares", "CpusetCpus", "VolumeDriver"] as const;

const CREATE_FIELDS: Fields = {
  ...CONTAINER_CONFIG_FIELDS,
  ...Object.fromEntries(FORMERLY_OUTSIDE.map((name) => [name, HOST_CONFIG_FIELDS[name]!])),
  HostConfig: handled({ object: HOST_CONFIG_FIELDS }),
  NetworkingConfig: handled({ object: { EndpointsConfig: handled({ map: { object: ENDPOINT_FIELDS } }) } }),
};

/** Reads the JSON of `POST /containers/create` and keeps the known fields. @throws LighterError as `parseBody` */
export function readCreateBody(body: unknown): DockerCreateBody {
  const read = parseBody(body, CREATE_FIELDS) as DockerCreateBody &
    Pick<DockerHostConfig, (typeof FORMERLY_OUTSIDE)[number]>;
  for (const name of FORMERLY_OUTSIDE) {
    const { [name]: outside } = read;
    delete read[name];
    if (outside) read.HostConfig = { ...read.HostConfig, [name]: read.HostConfig?.[name] || outside };
  }
  return read;
}

/** Splits such a body into its parts. @throws LighterError as `parseBody` */
export function parseCreateBody(body: unknown): {
  config: DockerContainerConfig;
  hostConfig: DockerHostConfig;
  endpoints: Readonly<Record<string, DockerEndpointSettings>>;
} {
  const { HostConfig, NetworkingConfig, ...config } = readCreateBody(body);
  return { config, hostConfig: HostConfig ?? {}, endpoints: NetworkingConfig?.EndpointsConfig ?? {} };
}
