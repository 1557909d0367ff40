/**
 * What Prometheus may ask for: Docker's `engine_daemon_…`, and ours.
 * Sources: Prometheus, "Text-based format"; the names and labels that dockerd 26 serves at its --metrics-addr.
 */
import { createServer, type Server } from "node:http";
import { arch, availableParallelism, totalmem } from "node:os";
import { VERSION } from "../base/version.ts";
import { type Daemon, pendingRemovalCount } from "./daemon-state.ts";
import { refusalOnLoopback } from "./doorkeeper.ts";
import { readOperatingSystem } from "./info.ts";

/** Go's client's own: Docker's dashboards are made for these. */
const DEFAULT_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** A start takes some ten milliseconds: finer where it matters. */
const START_BUCKETS_S = [0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5];

/** The requests that Docker counts as a container's actions. */
const ACTIONS: Readonly<Record<string, string>> = {
  "GET /containers/{id}/changes": "changes",
  "POST /commit": "commit",
  "POST /containers/create": "create",
  "DELETE /containers/{id}": "delete",
  "POST /containers/{id}/start": "start",
};

export class Histogram {
  readonly #boundsS: readonly number[];
  readonly #counts: number[];
  #sumS = 0;
  #count = 0;

  constructor(boundsS: readonly number[]) {
    this.#boundsS = boundsS;
    this.#counts = boundsS.map(() => 0);
  }

  observe(seconds: number): void {
    for (const [index, bound] of this.#boundsS.entries()) if (seconds <= bound) this.#counts[index]!++;
    this.#sumS += seconds;
    this.#count++;
  }

  /** `labels`: 'action="start"', or "". */
  format(name: string, labels = ""): string[] {
    const with_ = (more: string) => `{${[labels, more].filter((each) => each !== "").join(",")}}`;
    const own = labels === "" ? "" : `{${labels}}`;
    return [
      ...this.#boundsS.map((bound, index) => `${name}_bucket${with_(`le="${bound}"`)} ${this.#counts[index]}`),
      `${name}_bucket${with_('le="+Inf"')} ${this.#count}`,
      `${name}_sum${own} ${this.#sumS}`,
      `${name}_count${own} ${this.#count}`,
    ];
  }
}

/** Counted since the daemon began. */
export class Metrics {
  readonly #actions = new Map(Object.values(ACTIONS).map((name) => [name, new Histogram(DEFAULT_BUCKETS_S)]));
  readonly #starts = new Histogram(START_BUCKETS_S);

  /** A request that was answered well. */
  observe(method: string, path: string, seconds: number): void {
    const action = ACTIONS[`${method} ${path}`];
    if (action === undefined) return;
    this.#actions.get(action)?.observe(seconds);
    if (action === "start") this.#starts.observe(seconds);
  }

  format(daemon: Daemon): string {
    const families = [
      family(
        "engine_daemon_container_actions_seconds",
        "histogram",
        "The number of seconds it takes to process each container action",
        [
          ...[...this.#actions].flatMap(([action, histogram]) =>
            histogram.format("engine_daemon_container_actions_seconds", `action="${action}"`),
          ),
        ],
      ),
      family(
        "lighter_container_start_seconds",
        "histogram",
        "From the request to execve(2)",
        this.#starts.format("lighter_container_start_seconds"),
      ),
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
}

function family(
  name: string,
  type: "gauge" | "counter" | "histogram",
  help: string,
  samples: readonly string[],
): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples];
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
    commit: "",
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

/** Nothing but GET /metrics, for whoever may connect: there is nothing secret in it, and nothing to change. */
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
    response.end(isAsked ? daemon.metrics.format(daemon) : "404 page not found\n");
  });
}
