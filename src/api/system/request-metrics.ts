/** Measures how long requests take, as metrics. Sources: see metrics.ts. */
import { HistogramFamily } from "../../base/metrics.ts";

/** The buckets for a start, which takes some ten milliseconds: they are finer around that. */
const START_BUCKETS_S = [0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5];
/** The buckets of all requests: from a ping to a stream of minutes. */
const REQUEST_BUCKETS_S = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];
/** The route of requests that have none: their paths are the clients', and without end. */
const NO_ROUTE = "none";

type Measured = "container" | "image" | "network" | "host";

/** The requests that Docker counts, with the name that it has for each. */
const ACTIONS: Readonly<Record<string, readonly [Measured, string]>> = {
  "GET /containers/{id...}/changes": ["container", "changes"],
  "POST /commit": ["container", "commit"],
  "POST /containers/create": ["container", "create"],
  "DELETE /containers/{id}": ["container", "delete"],
  "POST /containers/{id...}/start": ["container", "start"],
  "POST /images/create": ["image", "pull"],
  "POST /images/{name...}/push": ["image", "push"],
  "POST /images/load": ["image", "load"],
  "GET /images/{name...}/get": ["image", "export"],
  "GET /images/{name...}/history": ["image", "history"],
  "GET /images/{name...}/json": ["image", "lookup"],
  "DELETE /images/{name...}": ["image", "delete"],
  "POST /networks/{id}/connect": ["network", "connect"],
  "POST /networks/{id}/disconnect": ["network", "disconnect"],
  "GET /info": ["host", "system_info"],
  "GET /version": ["host", "system_version"],
};

/** What is known of a request that has been answered. */
interface AnsweredRequest {
  method: string;
  /** The route's pattern; undefined if there is none. */
  path: string | undefined;
  code: number;
  seconds: number;
}

/** The requests' times since the daemon began. */
export class Metrics {
  readonly #actions = {
    container: new HistogramFamily(
      "engine_daemon_container_actions_seconds",
      "The number of seconds it takes to process each container action",
    ),
    image: new HistogramFamily(
      "engine_daemon_image_actions_seconds",
      "The number of seconds it takes to process each image action",
    ),
    network: new HistogramFamily(
      "engine_daemon_network_actions_seconds",
      "The number of seconds it takes to process each network action",
    ),
    host: new HistogramFamily(
      "engine_daemon_host_info_functions_seconds",
      "The number of seconds it takes to call functions gathering info about the host",
    ),
  };
  readonly #starts = new HistogramFamily(
    "lighter_container_start_seconds",
    "From the request to execve(2)",
    START_BUCKETS_S,
  );
  readonly #requests = new HistogramFamily(
    "lighter_api_request_seconds",
    "The time that requests of the API take, with that of their streams",
    REQUEST_BUCKETS_S,
  );

  constructor() {
    for (const [kind, name] of Object.values(ACTIONS)) this.#of(kind, name);
    this.#starts.of({});
  }

  #of(kind: Measured, name: string) {
    return this.#actions[kind].of({ [kind === "host" ? "function" : "action"]: name });
  }

  /** Counts a request that was answered. Docker's families are of those without an error. */
  observe({ method, path = NO_ROUTE, code, seconds }: AnsweredRequest): void {
    this.#requests.observe(seconds, { method: path === NO_ROUTE ? NO_ROUTE : method, route: path, code: `${code}` });
    const action = code < 400 ? ACTIONS[`${method} ${path}`] : undefined;
    if (action === undefined) return;
    this.#of(...action).observe(seconds);
    if (action[1] === "start") this.#starts.observe(seconds);
  }

  families(): string[] {
    return [...Object.values(this.#actions), this.#starts, this.#requests].flatMap((each) => each.format());
  }
}
