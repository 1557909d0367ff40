/** Runs the health checks of running containers. A container without a check costs nothing, one with has one timer. */

import { counter } from "../../base/metrics.ts";
import { formatNow, msBetween } from "../../base/time.ts";
import { timerMs } from "../../base/timer.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import type { EngineEvent } from "../events.ts";
import {
  type HealthCheck,
  type HealthRecord,
  type HealthResult,
  healthCheckOf,
  nextCheckMs,
  startingHealth,
  unwatchedHealth,
  withResult,
} from "./health-state.ts";
import { runProbe } from "./probe.ts";

const checks = counter("engine_daemon_health_checks_total", "The total number of health checks");
const failedChecks = counter("engine_daemon_health_checks_failed_total", "The total number of failed health checks");
const transitions = counter("lighter_health_transitions_total", "Changes of containers' health", "status", [
  "starting",
  "healthy",
  "unhealthy",
]);

/** The checks of one running container, from its start to its end. */
class Watch {
  readonly #engine: Engine;
  readonly #container: Container;
  readonly #check: HealthCheck;
  readonly #aborter = new AbortController();
  #timer: Timer | undefined;

  constructor(engine: Engine, container: Container, check: HealthCheck) {
    this.#engine = engine;
    this.#container = container;
    this.#check = check;
    this.#schedule();
  }

  get #health(): HealthRecord {
    const { record } = this.#container;
    return record.health ?? startingHealth(record.config, undefined)!;
  }

  #sinceStartMs(time: string): number {
    return msBetween(this.#container.record.startedAt, time);
  }

  #schedule(): void {
    const ms = nextCheckMs(this.#health, this.#check, this.#sinceStartMs(formatNow()));
    this.#timer = setTimeout(() => void this.#run(), timerMs(ms));
  }

  async #run(): Promise<void> {
    checks.add();
    const result = await runProbe(this.#engine.execs, this.#container, this.#check, this.#aborter.signal);
    await this.#container.queue.run(() => {
      if (this.#aborter.signal.aborted) return; // the container has ended over it
      this.#record(result);
      this.#schedule();
    });
  }

  #record(result: HealthResult): void {
    if (result.exitCode !== 0) failedChecks.add();
    const before = this.#health;
    const health = withResult(before, this.#check, result, this.#sinceStartMs(result.start));
    const event = health.status === before.status ? undefined : `health_status: ${health.status}`;
    if (event !== undefined) transitions.add(health.status);
    this.#container.changeOrLater({ health }, event);
  }

  /** Ends the checks. The container's queue is held. */
  end(): void {
    this.stop();
    this.#container.changeOrLater({ health: unwatchedHealth(this.#health) });
  }

  stop(): void {
    this.#aborter.abort();
    clearTimeout(this.#timer);
  }
}

export class HealthMonitor implements Disposable {
  readonly #engine: Engine;
  readonly #watches = new Map<string, Watch>();
  readonly #listening: Disposable;

  /** Watches the containers that run, and those that start from now on. */
  constructor(engine: Engine) {
    this.#engine = engine;
    this.#listening = engine.events.listen((event) => this.#onEvent(event));
    for (const container of engine.list())
      if (container.state === "running") this.#begin(container);
      else this.#endUnseen(container);
  }

  #onEvent({ type, action, id }: EngineEvent): void {
    if (type !== "container") return;
    if (action === "start" || action === "unpause") this.#begin(this.#engine.find(id));
    else if (action === "die" || action === "pause") this.#end(id);
  }

  #begin(container: Container): void {
    const check = healthCheckOf(container.record.config);
    if (check === undefined || this.#watches.has(container.id)) return;
    this.#watches.set(container.id, new Watch(this.#engine, container, check));
  }

  #end(id: string): void {
    const watch = this.#watches.get(id);
    this.#watches.delete(id);
    watch?.end();
  }

  /** Ends the checks of a container that ended while there was no daemon. */
  #endUnseen(container: Container): void {
    const { health } = container.record;
    if (health === undefined || health.status === "unhealthy") return;
    container.changeOrLater({ health: unwatchedHealth(health) });
  }

  /** Stops, and leaves everything as it is for the next engine. */
  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }
}
