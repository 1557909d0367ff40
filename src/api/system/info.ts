/** Answers `docker info`. */
import { readdirSync, readFileSync, statfsSync } from "node:fs";
import { arch, availableParallelism, hostname, totalmem } from "node:os";
import { isIpAddress } from "../../base/ip-address.ts";
import { formatNow } from "../../base/time.ts";
import { VERSION } from "../../base/version.ts";
import { LOG_DRIVERS, NETWORK_DRIVERS, OWN_RUNTIMES, runtimeFeatures } from "../../engine/mod.ts";
import { visibleContainers } from "../containers/visible.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { shapeFor } from "../http/versions.ts";
import { readOperatingSystem } from "./operating-system.ts";
import { warningsOfHost } from "./warnings.ts";

/** GET /info */
export function info({ daemon, response, apiMinor }: AnswerCall): void {
  sendJson(response, 200, shapeFor("info", apiMinor, describeSystem(daemon)));
}

/** The fields that any version of the API has. */
function describeSystem(daemon: Daemon): Record<string, unknown> {
  const { engine, images, host, settings, devices } = daemon;
  const containers = visibleContainers(daemon);
  const count = (...statuses: string[]) => containers.filter(({ state }) => statuses.includes(state)).length;
  const running = count("running", "restarting");
  const discovered = devices.list();
  const badSpecs = [...discovered.problems].map(([path, problem]) => `WARNING: CDI spec ${path}: ${problem}`);
  const warnings = [...settings.openDoors, ...warningsOfHost(host), ...badSpecs, ...images.damaged];
  return {
    ID: engine.id,
    Containers: containers.length,
    ContainersRunning: running,
    ContainersPaused: count("paused"),
    ContainersStopped: containers.length - running - count("paused"),
    Images: images.list().length,
    Driver: "overlay2",
    DriverStatus: [["Backing Filesystem", backingFileSystem(engine.paths.dataRoot)]],
    Plugins: { Volume: ["local"], Network: NETWORK_DRIVERS, Authorization: null, Log: LOG_DRIVERS },
    ...describeLimits(host.cgroup),
    IPv4Forwarding: readFlag("/proc/sys/net/ipv4/ip_forward"),
    BridgeNfIptables: readFlag("/proc/sys/net/bridge/bridge-nf-call-iptables"),
    BridgeNfIp6tables: readFlag("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
    Debug: settings.debug,
    NFd: readdirSync("/proc/self/fd").length,
    OomKillDisable: host.cgroup.oomKillDisable,
    // Threads are the nearest thing to goroutines here.
    NGoroutines: readdirSync("/proc/self/task").length,
    SystemTime: formatNow(),
    LoggingDriver: settings.logDriver,
    CgroupDriver: settings.cgroupDriver,
    CgroupVersion: host.cgroup.mode === "unified" ? "2" : "1",
    NEventsListener: engine.events.clientCount,
    KernelVersion: host.kernelVersion,
    ...readOperatingSystem(),
    OSType: "linux",
    Architecture: arch() === "x64" ? "x86_64" : "aarch64",
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: describeRegistries(settings.registry),
    NCPU: availableParallelism(),
    MemTotal: totalmem(),
    GenericResources: null,
    DockerRootDir: engine.paths.dataRoot,
    HttpProxy: withoutCredentials(process.env.HTTP_PROXY ?? process.env.http_proxy),
    HttpsProxy: withoutCredentials(process.env.HTTPS_PROXY ?? process.env.https_proxy),
    NoProxy: process.env.NO_PROXY ?? process.env.no_proxy ?? "",
    Name: hostname(),
    Labels: settings.labels,
    ExperimentalBuild: false,
    ServerVersion: VERSION,
    Runtimes: { ...ownRuntimes(), ...settings.runtimes },
    DefaultRuntime: settings.defaultRuntime,
    Swarm: NO_SWARM,
    LiveRestoreEnabled: true,
    Isolation: "",
    InitBinary: "",
    ContainerdCommit: { ID: "", Expected: "" },
    RuncCommit: { ID: "", Expected: "" },
    InitCommit: { ID: "", Expected: "" },
    SecurityOptions: securityOptions(engine, host, settings),
    ...(settings.addressPools.length === 0
      ? {}
      : { DefaultAddressPools: settings.addressPools.map(({ base, size }) => ({ Base: base, Size: size })) }),
    CDISpecDirs: devices.directories,
    DiscoveredDevices: discovered.devices.map((ID) => ({ Source: "cdi", ID })),
    Warnings: warnings.length === 0 ? null : warnings,
    ExecutionDriver: "<not supported>",
  };
}

function describeLimits(cgroup: Daemon["host"]["cgroup"]): Record<string, boolean> {
  return {
    MemoryLimit: cgroup.memoryLimit,
    SwapLimit: cgroup.swapLimit,
    KernelMemory: false,
    KernelMemoryTCP: false,
    CpuCfsPeriod: cgroup.cpuCfs,
    CpuCfsQuota: cgroup.cpuCfs,
    CPUShares: cgroup.cpuShares,
    CPUSet: cgroup.cpuset,
    PidsLimit: cgroup.pidsLimit,
  };
}

const NO_SWARM = {
  NodeID: "",
  NodeAddr: "",
  LocalNodeState: "inactive",
  ControlAvailable: false,
  Error: "",
  RemoteManagers: null,
};

function securityOptions(
  engine: Daemon["engine"],
  { appArmor, cgroup }: Daemon["host"],
  settings: Daemon["settings"],
): string[] {
  return [
    ...(appArmor !== undefined && appArmor.problem === undefined ? ["name=apparmor"] : []),
    `name=seccomp,profile=${settings.seccompProfile}`,
    ...(engine.remapsUsers ? ["name=userns"] : []),
    ...(cgroup.mode === "unified" ? ["name=cgroupns"] : []),
    ...(settings.noNewPrivileges ? ["name=no-new-privileges"] : []),
  ];
}

function readFlag(path: string): boolean {
  try {
    return readFileSync(path, "utf8").trim() === "1";
  } catch {
    return false; // the kernel has no such switch
  }
}

/** Docker's names of file systems by their magic number. Source: statfs(2). */
const FILESYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, "extfs"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x01021994, "tmpfs"],
  [0xf2f52010, "f2fs"],
  [0x2fc12fc1, "zfs"],
  [0x794c7630, "overlayfs"],
  [0x6969, "nfs"],
]);

function backingFileSystem(path: string): string {
  return FILESYSTEMS.get(statfsSync(path).type) ?? "<unknown>";
}

/** The proxy's address in the form that Docker shows, without its password. */
function withoutCredentials(url = ""): string {
  return url.replace(/^(\w+:\/\/)[^@/]*@/, "$1xxxxx:xxxxx@");
}

function describeRegistries({ mirrors = [], insecureRegistries = [] }: Daemon["settings"]["registry"]): object {
  const isRange = (entry: string) => entry.includes("/") && isIpAddress(entry.split("/", 1)[0]!);
  const describe = (Name: string, Secure: boolean, Official: boolean, Mirrors: readonly string[]) => [
    Name,
    { Name, Mirrors, Secure, Official },
  ];
  // Docker's own list begins with loopback, which is never verified.
  const ranges = ["::1/128", "127.0.0.0/8", ...insecureRegistries.filter(isRange)];
  const named = insecureRegistries.filter((entry) => !isRange(entry));
  const shown = mirrors.map((mirror) => mirror.replace(/\/*$/, "/"));
  return {
    AllowNondistributableArtifactsCIDRs: null,
    AllowNondistributableArtifactsHostnames: null,
    InsecureRegistryCIDRs: ranges,
    IndexConfigs: Object.fromEntries([
      describe("docker.io", true, true, shown),
      ...named.map((name) => describe(name, false, false, [])),
    ]),
    Mirrors: shown.length === 0 ? null : shown,
  };
}

/**
 * The runtimes with the features that containerd asks a runtime for: cri-dockerd looks for "rro" there before it mounts anything
 * recursively read-only.
 */
function ownRuntimes(): Record<string, object> {
  const status = { "org.opencontainers.runtime-spec.features": JSON.stringify(runtimeFeatures()) };
  return Object.fromEntries(OWN_RUNTIMES.map((name) => [name, { path: "lighter", status }]));
}
