/** Describes containers as `GET /containers/{id}/json` shows them, and what lists share with that. */
import { formatDuration } from "../../base/duration.ts";
import { parseRfc3339 } from "../../base/time.ts";
import {
  appArmorProfileOf,
  type Container,
  describeLinks,
  isMachine,
  machineEndOf,
  machineStateOf,
} from "../../engine/mod.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { describeNetworkSettings } from "./container-networks.ts";

type Mount = Container["record"]["mountPoints"][number];

function describeMount(point: Mount): object {
  return {
    Type: point.type,
    ...(point.volume === undefined ? {} : { Name: point.volume.name }),
    Source: point.source,
    Destination: point.destination,
    ...(point.volume === undefined ? {} : { Driver: "local" }),
    Mode: point.mode,
    RW: !point.readOnly,
    Propagation: point.propagation || (point.type === "bind" ? "rprivate" : ""),
  };
}

/** The mounts to show. A mount of --tmpfs is shown in HostConfig.Tmpfs only, as with Docker. */
export function describeMounts({ record }: Container): object[] {
  const inTmpfsOption = Object.keys(record.hostConfig.Tmpfs ?? {});
  return record.mountPoints.filter(({ destination }) => !inTmpfsOption.includes(destination)).map(describeMount);
}

function describeState(container: Container): object {
  const { record, state } = container;
  return {
    Status: state,
    Running: container.isActive,
    Paused: record.paused,
    Restarting: state === "restarting",
    OOMKilled: record.oomKilled,
    Dead: false,
    Pid: record.pid,
    ExitCode: record.exitCode,
    Error: record.error,
    StartedAt: record.startedAt,
    FinishedAt: record.finishedAt,
    ...describeMachine(container),
    ...(record.health === undefined ? {} : { Health: describeHealth(record.health) }),
  };
}

/** A machine's own state, for which Docker has no field. */
function describeMachine(container: Container): object {
  if (!isMachine(container.record.hostConfig)) return {};
  const state = machineStateOf(container);
  if (state === undefined) return { Machine: { Status: "stopped", End: machineEndOf(container) ?? "" } };
  const { status, init, notifies, targets, text, bootMs } = state;
  const boot = bootMs === undefined ? {} : { BootMs: bootMs };
  return { Machine: { Status: status, Init: init, Notifies: notifies, Targets: targets, Text: text, ...boot } };
}

function describeHealth({ status, failingStreak, log }: NonNullable<Container["record"]["health"]>): object {
  const results = log.map(({ start, end, exitCode, output }) => ({
    Start: start,
    End: end,
    ExitCode: exitCode,
    Output: output,
  }));
  return { Status: status, FailingStreak: failingStreak, Log: results };
}

export function inspectContainer(
  { engine, host, images }: Daemon,
  container: Container,
  apiMinor: number,
): Record<string, unknown> {
  const { record } = container;
  const paths = engine.paths.container(record.id);
  const [path = "", ...args] = [...(record.config.Entrypoint ?? []), ...(record.config.Cmd ?? [])];
  const execIds = [...container.execs.values()].filter((exec) => exec.exitCode === undefined).map((exec) => exec.id);
  const isImageThere = record.imageId === "" || images.isThere(record.imageId);
  const lowerDirs = isImageThere ? images.layersOf(record.imageId).lowerDirs : [];
  return {
    Id: record.id,
    Created: record.createdAt,
    Path: path,
    Args: args,
    State: describeState(container),
    Image: record.imageId,
    ResolvConfPath: paths.resolvConf,
    HostnamePath: paths.hostname,
    HostsPath: paths.hosts,
    LogPath: record.hostConfig.LogConfig?.Type === "none" ? "" : paths.log,
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: "overlay2",
    Platform: "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: appArmorProfileOf(record.hostConfig, host) ?? "",
    ExecIDs: execIds.length === 0 ? null : execIds,
    HostConfig: { ...EMPTY_HOST_CONFIG, ...record.hostConfig, Links: describeLinks(engine, container) },
    // There is no MergedDir: the rootfs is mounted in the container's own mount namespace only.
    GraphDriver: {
      Data: { LowerDir: lowerDirs.join(":"), UpperDir: paths.upper, WorkDir: paths.work },
      Name: "overlay2",
    },
    Mounts: describeMounts(container),
    Config: { ...EMPTY_CONFIG, ...record.config, ...wishedMacAddress(record) },
    NetworkSettings: describeNetworkSettings(container, apiMinor),
  };
}

/** The container's MAC address at its place before endpoints had one: clients that recreate a container read it there. */
function wishedMacAddress({ networking, hostConfig }: Container["record"]): { MacAddress?: string } {
  const main = networking.endpoints.find(({ networkName }) => networkName === hostConfig.NetworkMode);
  return main?.wish.macAddress === undefined ? {} : { MacAddress: main.wish.macAddress };
}

/** The values that Go writes for unset fields: clients read them without asking whether they are there. */
export const EMPTY_CONFIG = {
  Hostname: "",
  Domainname: "",
  User: "",
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: null,
  Cmd: null,
  Image: "",
  Volumes: null,
  WorkingDir: "",
  Entrypoint: null,
  OnBuild: null,
  Labels: {},
};

const EMPTY_HOST_CONFIG = {
  Binds: null,
  ContainerIDFile: "",
  PortBindings: null,
  AutoRemove: false,
  VolumeDriver: "",
  VolumesFrom: null,
  ConsoleSize: [0, 0],
  CapAdd: null,
  CapDrop: null,
  Dns: null,
  DnsOptions: null,
  DnsSearch: null,
  ExtraHosts: null,
  GroupAdd: null,
  Cgroup: "",
  Links: null,
  OomScoreAdj: 0,
  PidMode: "",
  Privileged: false,
  PublishAllPorts: false,
  ReadonlyRootfs: false,
  SecurityOpt: null,
  UTSMode: "",
  UsernsMode: "",
  Isolation: "",
  CpuShares: 0,
  Memory: 0,
  NanoCpus: 0,
  CgroupParent: "",
  BlkioWeight: 0,
  BlkioWeightDevice: null,
  BlkioDeviceReadBps: null,
  BlkioDeviceWriteBps: null,
  BlkioDeviceReadIOps: null,
  BlkioDeviceWriteIOps: null,
  CpuPeriod: 0,
  CpuQuota: 0,
  CpuRealtimePeriod: 0,
  CpuRealtimeRuntime: 0,
  CpusetCpus: "",
  CpusetMems: "",
  Devices: null,
  DeviceCgroupRules: null,
  DeviceRequests: null,
  MemoryReservation: 0,
  MemorySwap: 0,
  MemorySwappiness: null,
  OomKillDisable: null,
  PidsLimit: null,
  Ulimits: null,
  CpuCount: 0,
  CpuPercent: 0,
  IOMaximumIOps: 0,
  IOMaximumBandwidth: 0,
};

/**
 * The status as text: "Up 5 minutes (healthy)", "Up 1 second (Paused)", "Restarting (1) 3 seconds ago", "Exited (0) 2 hours ago",
 * "Created".
 */
export function describeStatus({ record, state }: Container, nowMs: number): string {
  const since = (time: string) => formatDuration(nowMs - Number((parseRfc3339(time) ?? 0n) / 1_000_000n));
  switch (state) {
    case "created":
      return "Created";
    case "running":
      return `Up ${since(record.startedAt)}${healthSuffix(record.health?.status)}`;
    case "paused":
      return `Up ${since(record.startedAt)} (Paused)`;
    case "restarting":
      return `Restarting (${record.exitCode}) ${since(record.finishedAt)} ago`;
    case "exited":
      return `Exited (${record.exitCode}) ${since(record.finishedAt)} ago`;
    case "removing":
      return "Removal In Progress";
  }
}

function healthSuffix(status: string | undefined): string {
  if (status === undefined) return "";
  return status === "starting" ? " (health: starting)" : ` (${status})`;
}
