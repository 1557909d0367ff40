/** Watches running containers for lack of memory. */
import { errnoOf, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import {
  CGROUP_GONE,
  type CgroupHost,
  detectCgroupHost,
  mayRunOut,
  type OomWatch,
  watchOom,
} from "../../linux/cgroup/mod.ts";
import { cgroupsPathOf } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import type { EngineEvent } from "../events.ts";

/**
 * Publishes it at once when a running container is out of memory. If that ends the container, it is published with the end at the
 * latest.
 */
export class OomMonitor implements Disposable {
  readonly #engine: Engine;
  readonly #watches = new Map<string, OomWatch>();
  readonly #listening: Disposable;
  #host: CgroupHost | undefined;

  /** Watches the containers that run, and those that start from now on. */
  constructor(engine: Engine) {
    this.#engine = engine;
    this.#listening = engine.events.listen((event) => this.#onEvent(event));
    for (const container of engine.list()) if (container.isRunning) this.#begin(container);
  }

  #onEvent({ type, action, id }: EngineEvent): void {
    if (type !== "container") return;
    if (action === "start" || action === "update") this.#begin(this.#engine.find(id));
    else if (action === "die") this.#end(id);
  }

  #begin(container: Container): void {
    if (!container.isRunning || this.#watches.has(container.id)) return;
    const path = cgroupsPathOf(container.record);
    this.#host ??= detectCgroupHost();
    try {
      if (!mayRunOut(this.#host, path)) return;
      const onOom = () =>
        this.#engine.inBackground(
          `tell that container ${container.id} is out of memory`,
          container.queue.run(() => this.#onOom(container, watch)),
        );
      // The container may have run out of memory before we came to look.
      const watch = watchOom(this.#host, path, onOom, !container.record.oomKilled);
      this.#watches.set(container.id, watch);
    } catch (error) {
      // The container may have ended, and its cgroup with it. It runs without a watch as well.
      if (!CGROUP_GONE.includes(errnoOf(error)))
        log.warn(`watch the memory of container ${container.id}: ${messageOf(error)}`);
    }
  }

  /** Tells that a container is out of memory, unless it has ended meanwhile and its end has told it. Its queue is held. */
  #onOom(container: Container, watch: OomWatch): void {
    if (this.#watches.get(container.id) !== watch) return;
    if (container.record.oomKilled) container.publish("oom");
    else container.changeOrLater({ oomKilled: true }, "oom");
  }

  #end(id: string): void {
    this.#watches.get(id)?.[Symbol.dispose]();
    this.#watches.delete(id);
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
    for (const watch of this.#watches.values()) watch[Symbol.dispose]();
    this.#watches.clear();
  }
}
