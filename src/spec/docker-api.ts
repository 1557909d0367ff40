/**
 * Docker Engine API v1.45 bodies, spelled as on the wire.
 * Go writes an empty list or map as `null`, so every optional field may be null as well as absent.
 * Source: moby api/swagger.yaml of v1.45.
 */

type Maybe<T> = T | null | undefined;

/** The body of `POST /containers/create`: ContainerConfig's fields, HostConfig and NetworkingConfig. */
export interface DockerCreateBody extends DockerContainerConfig {
  HostConfig?: Maybe<DockerHostConfig>;
  NetworkingConfig?: Maybe<DockerNetworkingConfig>;
}

interface DockerNetworkingConfig {
  /** The container's networks, by name or id. */
  EndpointsConfig?: Maybe<Record<string, DockerEndpointSettings>>;
}

/** What a client may ask for a container in a network; the other fields of EndpointSettings are for answers. */
export interface DockerEndpointSettings {
  IPAMConfig?: Maybe<{ IPv4Address?: Maybe<string>; IPv6Address?: Maybe<string>; LinkLocalIPs?: Maybe<string[]> }>;
  /** "name:alias". */
  Links?: Maybe<string[]>;
  Aliases?: Maybe<string[]>;
  MacAddress?: Maybe<string>;
  DriverOpts?: Maybe<Record<string, string>>;
  GwPriority?: Maybe<number>;
}

/** Configuration that is portable between hosts; an image's config has the same shape. */
export interface DockerContainerConfig {
  Hostname?: Maybe<string>;
  Domainname?: Maybe<string>;
  User?: Maybe<string>;
  AttachStdin?: Maybe<boolean>;
  AttachStdout?: Maybe<boolean>;
  AttachStderr?: Maybe<boolean>;
  ExposedPorts?: Maybe<Record<string, object>>;
  Tty?: Maybe<boolean>;
  OpenStdin?: Maybe<boolean>;
  StdinOnce?: Maybe<boolean>;
  /** "NAME=value"; in a create body "NAME" alone removes the image's variable. */
  Env?: Maybe<string[]>;
  Cmd?: Maybe<string[]>;
  Healthcheck?: Maybe<DockerHealthConfig>;
  ArgsEscaped?: Maybe<boolean>;
  Image?: Maybe<string>;
  Volumes?: Maybe<Record<string, object>>;
  WorkingDir?: Maybe<string>;
  Entrypoint?: Maybe<string[]>;
  NetworkDisabled?: Maybe<boolean>;
  MacAddress?: Maybe<string>;
  OnBuild?: Maybe<string[]>;
  Labels?: Maybe<Record<string, string>>;
  StopSignal?: Maybe<string>;
  /** Seconds; -1 waits for ever. */
  StopTimeout?: Maybe<number>;
  Shell?: Maybe<string[]>;
}

export interface DockerHealthConfig {
  Test?: Maybe<string[]>;
  /** Nanoseconds, as are the next three. */
  Interval?: Maybe<number>;
  Timeout?: Maybe<number>;
  StartPeriod?: Maybe<number>;
  StartInterval?: Maybe<number>;
  Retries?: Maybe<number>;
}

interface DockerResources {
  CpuShares?: Maybe<number>;
  /** Bytes; 0 means unlimited. */
  Memory?: Maybe<number>;
  CgroupParent?: Maybe<string>;
  BlkioWeight?: Maybe<number>;
  BlkioWeightDevice?: Maybe<DockerWeightDevice[]>;
  BlkioDeviceReadBps?: Maybe<DockerThrottleDevice[]>;
  BlkioDeviceWriteBps?: Maybe<DockerThrottleDevice[]>;
  BlkioDeviceReadIOps?: Maybe<DockerThrottleDevice[]>;
  BlkioDeviceWriteIOps?: Maybe<DockerThrottleDevice[]>;
  /** Microseconds. */
  CpuPeriod?: Maybe<number>;
  /** Microseconds per period. */
  CpuQuota?: Maybe<number>;
  CpuRealtimePeriod?: Maybe<number>;
  CpuRealtimeRuntime?: Maybe<number>;
  CpusetCpus?: Maybe<string>;
  CpusetMems?: Maybe<string>;
  Devices?: Maybe<DockerDeviceMapping[]>;
  DeviceCgroupRules?: Maybe<string[]>;
  DeviceRequests?: Maybe<DockerDeviceRequest[]>;
  KernelMemoryTCP?: Maybe<number>;
  MemoryReservation?: Maybe<number>;
  /** Bytes of memory and swap together; -1 means unlimited swap, 0 twice the memory. */
  MemorySwap?: Maybe<number>;
  MemorySwappiness?: Maybe<number>;
  /** Billionths of a CPU. */
  NanoCpus?: Maybe<number>;
  OomKillDisable?: Maybe<boolean>;
  Init?: Maybe<boolean>;
  /** 0 or -1 means unlimited. */
  PidsLimit?: Maybe<number>;
  Ulimits?: Maybe<DockerUlimit[]>;
  CpuCount?: Maybe<number>;
  CpuPercent?: Maybe<number>;
  IOMaximumIOps?: Maybe<number>;
  IOMaximumBandwidth?: Maybe<number>;
}

interface DockerWeightDevice {
  Path?: Maybe<string>;
  Weight?: Maybe<number>;
}

export interface DockerThrottleDevice {
  Path?: Maybe<string>;
  /** Bytes or operations per second. */
  Rate?: Maybe<number>;
}

export interface DockerDeviceRequest {
  Driver?: Maybe<string>;
  /** -1 means all. */
  Count?: Maybe<number>;
  DeviceIDs?: Maybe<string[]>;
  /** Alternatives: the device must have everything in one of these lists. */
  Capabilities?: Maybe<string[][]>;
  Options?: Maybe<Record<string, string>>;
}

interface DockerDeviceMapping {
  PathOnHost?: Maybe<string>;
  PathInContainer?: Maybe<string>;
  CgroupPermissions?: Maybe<string>;
}

interface DockerUlimit {
  Name?: Maybe<string>;
  /** -1 means unlimited; the same goes for Hard. */
  Soft?: Maybe<number>;
  Hard?: Maybe<number>;
}

/** Configuration that depends on the host. */
export interface DockerHostConfig extends DockerResources {
  /** "source-or-volume:/destination[:options]". */
  Binds?: Maybe<string[]>;
  ContainerIDFile?: Maybe<string>;
  LogConfig?: Maybe<{ Type?: Maybe<string>; Config?: Maybe<Record<string, string>> }>;
  NetworkMode?: Maybe<string>;
  PortBindings?: Maybe<Record<string, DockerPortBinding[] | null>>;
  RestartPolicy?: Maybe<{ Name?: Maybe<string>; MaximumRetryCount?: Maybe<number> }>;
  AutoRemove?: Maybe<boolean>;
  VolumeDriver?: Maybe<string>;
  VolumesFrom?: Maybe<string[]>;
  Mounts?: Maybe<DockerMount[]>;
  /** [height, width]. */
  ConsoleSize?: Maybe<number[]>;
  Annotations?: Maybe<Record<string, string>>;
  CapAdd?: Maybe<string[]>;
  CapDrop?: Maybe<string[]>;
  CgroupnsMode?: Maybe<string>;
  Dns?: Maybe<string[]>;
  DnsOptions?: Maybe<string[]>;
  DnsSearch?: Maybe<string[]>;
  /** "name:address". */
  ExtraHosts?: Maybe<string[]>;
  GroupAdd?: Maybe<string[]>;
  IpcMode?: Maybe<string>;
  Cgroup?: Maybe<string>;
  Links?: Maybe<string[]>;
  OomScoreAdj?: Maybe<number>;
  PidMode?: Maybe<string>;
  Privileged?: Maybe<boolean>;
  PublishAllPorts?: Maybe<boolean>;
  ReadonlyRootfs?: Maybe<boolean>;
  SecurityOpt?: Maybe<string[]>;
  StorageOpt?: Maybe<Record<string, string>>;
  /** Mount options by destination. */
  Tmpfs?: Maybe<Record<string, string>>;
  UTSMode?: Maybe<string>;
  UsernsMode?: Maybe<string>;
  /** Bytes. */
  ShmSize?: Maybe<number>;
  Sysctls?: Maybe<Record<string, string>>;
  Runtime?: Maybe<string>;
  Isolation?: Maybe<string>;
  MaskedPaths?: Maybe<string[]>;
  ReadonlyPaths?: Maybe<string[]>;
}

interface DockerPortBinding {
  HostIp?: Maybe<string>;
  HostPort?: Maybe<string>;
}

export interface DockerMount {
  Target?: Maybe<string>;
  Source?: Maybe<string>;
  /** bind, volume, tmpfs or image. */
  Type?: Maybe<string>;
  ReadOnly?: Maybe<boolean>;
  Consistency?: Maybe<string>;
  BindOptions?: Maybe<{
    Propagation?: Maybe<string>;
    NonRecursive?: Maybe<boolean>;
    CreateMountpoint?: Maybe<boolean>;
    ReadOnlyNonRecursive?: Maybe<boolean>;
    ReadOnlyForceRecursive?: Maybe<boolean>;
  }>;
  VolumeOptions?: Maybe<{
    NoCopy?: Maybe<boolean>;
    Labels?: Maybe<Record<string, string>>;
    DriverConfig?: Maybe<{ Name?: Maybe<string>; Options?: Maybe<Record<string, string>> }>;
    Subpath?: Maybe<string>;
  }>;
  ImageOptions?: Maybe<{ Subpath?: Maybe<string> }>;
  TmpfsOptions?: Maybe<{
    SizeBytes?: Maybe<number>;
    /** The mode bits as a decimal number. */
    Mode?: Maybe<number>;
  }>;
}
