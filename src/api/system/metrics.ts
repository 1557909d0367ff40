/**
 * Metrics for Prometheus: Docker's `engine_daemon_…`, and Lighter's own.
 * Sources: Prometheus, "Text-based format"; the names and labels that dockerd 26 serves at its --metrics-addr.
 */
import { createServer, type Server } from "node:http";
import { arch, availableParallelism, totalmem } from "node:os";
import { COMMIT, VERSION } from "../../base/version.ts";
import { type Daemon, pendingRemovalCount } from "../daemon/daemon-state.ts";
import { refusalOnLoopback } from "../http/doorkeeper.ts";
import { readOperatingSystem } from "./operating-system.ts";
import { family } from "./request-timings.ts";

/** The text that Prometheus gets. */
function formatMetrics(daemon: Daemon): string {
  const families = [
    ...daemon.metrics.families(),
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
  const text = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return [
    family("engine_daemon_engine_info", "gauge", "The information related to the engine and the OS it is running on", [
      `engine_daemon_engine_info{${text.join(",")}} 1`,
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

export function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
}

function describeProcess(): string[][] {
  const { user, system } = process.cpuUsage();
  return [
    family("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", [
      `process_cpu_seconds_total ${(user + system) / 1e6}`,
    ]),
    family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", [
      `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
    ]),
    family("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", [
      `process_start_time_seconds ${performance.timeOrigin / 1000}`,
    ]),
  ];
}

/** A server that answers only GET /metrics, to anybody who can connect: nothing there is secret, and nothing can be changed. */
export function createMetricsServer(daemon: Daemon): Server {
  return createServer((request, response) => {
    request.resume();
    const refusal = refusalOnLoopback(request);
    if (refusal !== undefined) {
      response.writeHead(403, { "Content-Type": "text/plain; charset=utf-8" });
      return void response.end(`${refusal.message}\n`);
    }
    const isAsked = request.method === "GET" && request.url?.split("?", 1)[0] === "/metrics";
    response.writeHead(isAsked ? 200 : 404, { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" });
    response.end(isAsked ? formatMetrics(daemon) : "404 page not found\n");
  });
}
