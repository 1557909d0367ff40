/** One container in the daemon's memory. */
import { counter } from "../base/metrics.ts";
import type { Supervised } from "../runtime/types.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import type { EventBus } from "./events.ts";
import type { PendingAttach } from "./process/attach.ts";
import type { Exec } from "./process/exec.ts";
import { Restarts } from "./process/restarts.ts";
import type { ContainerRecord, ContainerStatus, RecordPatch } from "./state/record.ts";
import { SerialQueue } from "./state/serial-queue.ts";
import type { Store } from "./state/store.ts";
import type { VolumesInUse } from "./volumes/volumes-in-use.ts";

const oomKills = counter(
  "lighter_container_oom_kills_total",
  "Runs of containers in which the kernel killed for memory",
);

export type ContainerState = ContainerStatus | "paused" | "restarting";

/** The end of a wait. not-running: at once unless it runs; next-exit: not before it has run; removed: when it is gone. */
export type WaitCondition = "not-running" | "next-exit" | "removed";

interface Waiter {
  condition: WaitCondition;
  resolve: (exitCode: number) => void;
}

/** The writer of containers' rows. */
type ContainerRows = Pick<Store, "update" | "updateOrLater">;

/** The rows of what runs as a container does and does not outlive this daemon: nothing is written down. */
export const NO_ROWS: ContainerRows = { update: () => {}, updateOrLater: () => true };

/** One container in memory: its row, and what only a living daemon knows of it. */
export class Container {
  readonly record: ContainerRecord;
  /** The queue in which every change of `record`, and every start, happens. */
  readonly queue = new SerialQueue();
  /** The running init; after its end until the next start, its `gone` still tells when its files may be removed. */
  supervised: Supervised | undefined;
  /** Resolves when the end of the running init has been written down. */
  exitKnown: Promise<unknown> = Promise.resolve();
  /** The volumes of the running init. */
  volumes: VolumesInUse | undefined;
  /**
   * The config of the running init, for its execs: large, so it is kept only as long as memory lasts, and made anew on demand.
   */
  ociConfig: WeakRef<OciConfig> | undefined;
  /** The attaches that came before the start. */
  readonly pendingAttaches = new Set<PendingAttach>();
  readonly execs = new Map<string, Exec>();
  /** True between the stop and the start of a restart by hand, when AutoRemove must not act. */
  isBeingRestarted = false;
  readonly restarts = new Restarts();
  readonly #waiters = new Set<Waiter>();
  readonly #events: EventBus;
  readonly #rows: ContainerRows;

  /** Makes a container of its row; `rows`: where that is. */
  constructor(record: ContainerRecord, events: EventBus, rows: ContainerRows) {
    this.record = record;
    this.#events = events;
    this.#rows = rows;
  }

  // --- Change: the row, then memory, then the event. The container's queue is held. ---

  /** Changes it. @throws LighterError, and then nothing has changed */
  change(patch: RecordPatch, event?: string): void {
    this.#rows.update(this.id, patch);
    this.#changed(patch, event);
  }

  /** Changes it by what has happened, or ends something: on a full disk the row is written later. Returns false if it will be. */
  changeOrLater(patch: RecordPatch, event?: string): boolean {
    const isWritten = this.#rows.updateOrLater(this.id, patch);
    this.#changed(patch, event);
    return isWritten;
  }

  /** Changes memory alone, for what a later change has in its row, or what no row could be told. */
  remember(patch: RecordPatch): void {
    Object.assign(this.record, patch);
  }

  #changed(patch: RecordPatch, event: string | undefined): void {
    this.remember(patch);
    if (event !== undefined) this.publish(event);
  }

  // --- What it is ---

  /** Publishes an action, with what Docker tells of every container: its labels, the image as asked for, its name. */
  publish(action: string, more: Readonly<Record<string, string>> = {}): void {
    if (action === "oom") oomKills.add();
    const { config, name, id } = this.record;
    const image = config.Image ? { image: config.Image } : {};
    this.#events.publish("container", action, id, { ...config.Labels, ...image, name, ...more });
  }

  get id(): string {
    return this.record.id;
  }

  /** True if its process exists, perhaps paused. */
  get isRunning(): boolean {
    return this.record.status === "running";
  }

  /** True if Docker calls it running: also while it waits to be started by its restart policy. */
  get isActive(): boolean {
    return this.isRunning || this.restarts.isWaiting;
  }

  /** The state in Docker's words: "created", "running", "paused", "restarting", "exited" or "removing". */
  get state(): ContainerState {
    const { status, paused } = this.record;
    if (status === "running") return paused ? "paused" : "running";
    return this.restarts.isWaiting ? "restarting" : status;
  }

  /** Resolves with the exit code: of the last run, of the next, or at removal. */
  wait(condition: WaitCondition, signal?: AbortSignal): Promise<number> {
    if (condition === "not-running" && !this.isActive) return Promise.resolve(this.record.exitCode);
    return new Promise((resolve, reject) => {
      const waiter = { condition, resolve };
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", () => {
        this.#waiters.delete(waiter);
        reject(signal.reason);
      });
    });
  }

  notifyExit(): void {
    this.#notify(({ condition }) => condition !== "removed");
  }

  notifyRemoved(): void {
    this.#notify(() => true);
  }

  #notify(isMet: (waiter: Waiter) => boolean): void {
    for (const waiter of this.#waiters) {
      if (!isMet(waiter)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(this.record.exitCode);
    }
  }
}
