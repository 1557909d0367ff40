/**
 * Metrics for Prometheus: Docker's `engine_daemon_…`, and Lighter's own.
 * Sources: Prometheus, "Text-based format"; the names and labels that dockerd 26 serves at its --metrics-addr.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { arch, availableParallelism, totalmem } from "node:os";
import { family, formatLabels, registeredFamilies } from "../../base/metrics.ts";
import { COMMIT, VERSION } from "../../base/version.ts";
import { measureDue } from "../../engine/mod.ts";
import { type Daemon, pendingRemovalCount } from "../daemon/daemon-state.ts";
import { refusalOnLoopback } from "../http/doorkeeper.ts";
import { formatContainerMetrics, readDisk } from "./container-metrics.ts";
import { LoopDelay } from "./loop-delay.ts";
import { readOperatingSystem } from "./operating-system.ts";

const loopDelay = new LoopDelay();

/** The text that Prometheus gets. */
function formatMetrics(daemon: Daemon): string {
  const families = [
    daemon.metrics.families(),
    registeredFamilies(),
    loopDelay.read(),
    ...describeContainers(daemon),
    family(
      "lighter_pending_removals",
      "gauge",
      "Removed containers, volumes and parts of images that are being deleted",
      [`lighter_pending_removals ${pendingRemovalCount(daemon)}`],
    ),
    ...describeHost(daemon),
    ...describeProcess(),
  ];
  return `${families.flat().join("\n")}\n`;
}

function describeContainers({ engine }: Daemon): string[][] {
  const statuses = new Map(
    ["created", "running", "paused", "restarting", "exited", "removing", "dead"].map((name) => [name, 0]),
  );
  let supervisors = 0;
  for (const { state, supervised } of engine.list()) {
    statuses.set(state, (statuses.get(state) ?? 0) + 1);
    if (supervised !== undefined) supervisors++;
  }
  const of = (status: string) => statuses.get(status) ?? 0;
  const stopped = engine.list().length - of("running") - of("paused");
  return [
    family("engine_daemon_container_states_containers", "gauge", "The count of containers in various states", [
      `engine_daemon_container_states_containers{state="paused"} ${of("paused")}`,
      `engine_daemon_container_states_containers{state="running"} ${of("running")}`,
      `engine_daemon_container_states_containers{state="stopped"} ${stopped}`,
    ]),
    family("lighter_containers", "gauge", "Containers by the status that inspect shows", [
      ...[...statuses].map(([status, count]) => `lighter_containers{status="${status}"} ${count}`),
    ]),
    family("lighter_supervisors", "gauge", "Processes that stay with a container", [
      `lighter_supervisors ${supervisors}`,
    ]),
    family("engine_daemon_events_subscribers_total", "gauge", "The number of current subscribers to events", [
      `engine_daemon_events_subscribers_total ${engine.events.clientCount}`,
    ]),
    family("engine_daemon_events_total", "counter", "The number of events logged", [
      `engine_daemon_events_total ${engine.events.publishedCount}`,
    ]),
  ];
}

function describeHost({ engine, host }: Daemon): string[][] {
  const { OperatingSystem, OSVersion } = readOperatingSystem();
  const labels = {
    architecture: arch() === "x64" ? "x86_64" : "aarch64",
    commit: COMMIT,
    daemon_id: engine.id,
    graphdriver: "overlay2",
    kernel: host.kernelVersion,
    os: OperatingSystem,
    os_type: "linux",
    os_version: OSVersion,
    version: VERSION,
  };
  return [
    family("engine_daemon_engine_info", "gauge", "The information related to the engine and the OS it is running on", [
      `engine_daemon_engine_info{${formatLabels(labels)}} 1`,
    ]),
    family("engine_daemon_engine_cpus_cpus", "gauge", "The number of cpus that the host system of the engine has", [
      `engine_daemon_engine_cpus_cpus ${availableParallelism()}`,
    ]),
    family(
      "engine_daemon_engine_memory_bytes",
      "gauge",
      "The number of bytes of memory that the host system of the engine has",
      [`engine_daemon_engine_memory_bytes ${totalmem()}`],
    ),
  ];
}

function describeProcess(): string[][] {
  const { user, system } = process.cpuUsage();
  const status = readText("/proc/self/status");
  const limits = readText("/proc/self/limits");
  const kilobytes = (field: string) => Number(new RegExp(`^${field}:\\s*(\\d+)`, "m").exec(status)?.[1] ?? 0) * 1024;
  const most = (name: string) => Number(new RegExp(`^${name}\\s+(\\d+)`, "m").exec(limits)?.[1] ?? -1);
  const one = (name: string, type: "gauge" | "counter", help: string, value: number) =>
    family(name, type, help, [`${name} ${value}`]);
  return [
    one(
      "process_cpu_seconds_total",
      "counter",
      "Total user and system CPU time spent in seconds.",
      (user + system) / 1e6,
    ),
    one("process_max_fds", "gauge", "Maximum number of open file descriptors.", most("Max open files")),
    one("process_open_fds", "gauge", "Number of open file descriptors.", readdirSync("/proc/self/fd").length),
    one("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", process.memoryUsage.rss()),
    one(
      "process_start_time_seconds",
      "gauge",
      "Start time of the process since unix epoch in seconds.",
      performance.timeOrigin / 1000,
    ),
    one("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", kilobytes("VmSize")),
    one(
      "process_virtual_memory_max_bytes",
      "gauge",
      "Maximum amount of virtual memory available in bytes.",
      most("Max address space"),
    ),
  ];
}

function readText(path: string): string {
  return readFileSync(path, "utf8");
}

const TEXT = "text/plain; version=0.0.4; charset=utf-8";

/** A server that answers only GET for the paths of metrics, to anybody who can connect: nothing there is secret, and nothing can be changed. */
export function createMetricsServer(daemon: Daemon): Server {
  return createServer((request, response) => {
    request.resume();
    const refusal = refusalOnLoopback(request);
    if (refusal !== undefined) {
      response.writeHead(403, { "Content-Type": "text/plain; charset=utf-8" });
      return void response.end(`${refusal.message}\n`);
    }
    const url = parseUrl(request.url ?? "");
    const text = request.method === "GET" ? PAGES[url.pathname]?.(daemon, url.searchParams) : undefined;
    response.writeHead(text === undefined ? 404 : 200, { "Content-Type": TEXT });
    response.end(text ?? "404 page not found\n");
  });
}

/** Parses a request's target: only its path and its query matter. */
function parseUrl(target: string): { pathname: string; searchParams: URLSearchParams } {
  const [pathname = "", ...query] = target.split("?");
  return { pathname, searchParams: new URLSearchParams(query.join("?")) };
}

/** The paths that are served, with what makes their texts. */
const PAGES: Readonly<Record<string, (daemon: Daemon, query: URLSearchParams) => string | Uint8Array>> = {
  "/metrics": formatMetrics,
  "/metrics/containers": ({ engine }, query) => {
    const labels = query
      .getAll("labels")
      .flatMap((each) => each.split(","))
      .filter(Boolean);
    const containers = engine.list();
    measureDue(
      engine,
      containers.filter(({ isRunning }) => isRunning),
    ); // for the next scrape
    return formatContainerMetrics(containers, labels, readDisk(engine.paths.dataRoot));
  },
};
