import { readFileSync } from "node:fs";
import { arch, cpus, hostname, totalmem } from "node:os";
import { formatNow } from "../base/time.ts";
import { VERSION } from "../base/version.ts";
import type { Daemon } from "./daemon-state.ts";
import { API_VERSION, COMMON_HEADERS, MIN_API_VERSION, sendJson } from "./protocol.ts";
import type { AnswerCall } from "./router.ts";

const NOT_CACHED = { "Cache-Control": "no-cache, no-store, must-revalidate", Pragma: "no-cache" };

export function ping({ request, response }: AnswerCall): void {
  const body = request.method === "HEAD" ? "" : "OK";
  response.writeHead(200, {
    ...COMMON_HEADERS,
    ...NOT_CACHED,
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": body.length,
    Swarm: "inactive",
  });
  response.end(body);
}

export function version({ daemon, response }: AnswerCall): void {
  const details = {
    ApiVersion: API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    GitCommit: "",
    GoVersion: "",
    Os: "linux",
    Arch: daemon.host.arch,
    KernelVersion: daemon.host.kernelVersion,
    BuildTime: "",
  };
  sendJson(response, 200, {
    Platform: { Name: "Lighter" },
    Components: [{ Name: "Engine", Version: VERSION, Details: { ...details, Experimental: "false" } }],
    Version: VERSION,
    ...details,
  });
}

export function info({ daemon, response }: AnswerCall): void {
  sendJson(response, 200, describeSystem(daemon));
}

function describeSystem({ engine, images, host }: Daemon): object {
  const containers = engine.list();
  const running = containers.filter((container) => container.isRunning).length;
  const { cgroup } = host;
  return {
    ID: engine.id,
    Containers: containers.length,
    ContainersRunning: running,
    ContainersPaused: 0,
    ContainersStopped: containers.length - running,
    Images: images.list().length,
    Driver: "overlay2",
    DriverStatus: [],
    Plugins: { Volume: ["local"], Network: ["host", "null"], Authorization: null, Log: ["json-file", "none"] },
    MemoryLimit: cgroup.memoryLimit,
    SwapLimit: cgroup.swapLimit,
    KernelMemoryTCP: false,
    CpuCfsPeriod: cgroup.cpuCfs,
    CpuCfsQuota: cgroup.cpuCfs,
    CPUShares: cgroup.cpuShares,
    CPUSet: cgroup.cpuset,
    PidsLimit: cgroup.pidsLimit,
    IPv4Forwarding: readFlag("/proc/sys/net/ipv4/ip_forward"),
    BridgeNfIptables: readFlag("/proc/sys/net/bridge/bridge-nf-call-iptables"),
    BridgeNfIp6tables: readFlag("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
    Debug: false,
    NFd: 0,
    OomKillDisable: cgroup.oomKillDisable,
    NGoroutines: 0,
    SystemTime: formatNow(),
    LoggingDriver: "json-file",
    CgroupDriver: "cgroupfs",
    CgroupVersion: cgroup.mode === "unified" ? "2" : "1",
    NEventsListener: engine.events.listenerCount,
    KernelVersion: host.kernelVersion,
    ...readOperatingSystem(),
    OSType: "linux",
    Architecture: arch() === "x64" ? "x86_64" : "aarch64",
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: { InsecureRegistryCIDRs: [], IndexConfigs: {}, Mirrors: null },
    NCPU: cpus().length,
    MemTotal: totalmem(),
    GenericResources: null,
    DockerRootDir: engine.paths.dataRoot,
    HttpProxy: "",
    HttpsProxy: "",
    NoProxy: "",
    Name: hostname(),
    Labels: [],
    ExperimentalBuild: false,
    ServerVersion: VERSION,
    Runtimes: { lighter: { path: "lighter" } },
    DefaultRuntime: "lighter",
    Swarm: {
      NodeID: "",
      NodeAddr: "",
      LocalNodeState: "inactive",
      ControlAvailable: false,
      Error: "",
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true,
    Isolation: "",
    InitBinary: "",
    ContainerdCommit: { ID: "", Expected: "" },
    RuncCommit: { ID: "", Expected: "" },
    InitCommit: { ID: "", Expected: "" },
    SecurityOptions: ["name=seccomp,profile=builtin", ...(cgroup.mode === "unified" ? ["name=cgroupns"] : [])],
    CDISpecDirs: [],
    Warnings: images.damaged.length === 0 ? null : images.damaged,
  };
}

function readFlag(path: string): boolean {
  try {
    return readFileSync(path, "utf8").trim() === "1";
  } catch {
    return false; // the kernel has no such switch
  }
}

/** Source: os-release(5). */
function readOperatingSystem(): { OperatingSystem: string; OSVersion: string } {
  let text = "";
  try {
    text = readFileSync("/etc/os-release", "utf8");
  } catch {
    // a host without the file has no name to show
  }
  const field = (name: string) => new RegExp(`^${name}="?([^"\\n]*)"?$`, "m").exec(text)?.[1] ?? "";
  return { OperatingSystem: field("PRETTY_NAME") || "Linux", OSVersion: field("VERSION_ID") };
}
