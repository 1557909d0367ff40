/** Measures how long requests take, as metrics. Sources: see metrics.ts. */

/** The default buckets of Prometheus's client for Go: Docker's dashboards expect these. */
const DEFAULT_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** The buckets for a start, which takes some ten milliseconds: they are finer around that. */
const START_BUCKETS_S = [0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5];

/** The requests that Docker counts as a container's actions, with the action's name. */
const ACTIONS: Readonly<Record<string, string>> = {
  "GET /containers/{id...}/changes": "changes",
  "POST /commit": "commit",
  "POST /containers/create": "create",
  "DELETE /containers/{id}": "delete",
  "POST /containers/{id...}/start": "start",
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

  /** The histogram's lines. `labels`: 'action="start"', or "". */
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

/** The counts since the daemon began. */
export class Metrics {
  readonly #actions = new Map(Object.values(ACTIONS).map((name) => [name, new Histogram(DEFAULT_BUCKETS_S)]));
  readonly #starts = new Histogram(START_BUCKETS_S);

  /** Counts a request that was answered without an error. */
  observe(method: string, path: string, seconds: number): void {
    const action = ACTIONS[`${method} ${path}`];
    if (action === undefined) return;
    this.#actions.get(action)?.observe(seconds);
    if (action === "start") this.#starts.observe(seconds);
  }

  families(): string[][] {
    return [
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
    ];
  }
}

/** The lines of a metric with its samples. */
export function family(
  name: string,
  type: "gauge" | "counter" | "histogram",
  help: string,
  samples: readonly string[],
): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples];
}
