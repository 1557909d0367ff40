import type { Supervised } from "../runtime/types.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import type { PendingAttach } from "./attach.ts";
import type { Exec } from "./exec.ts";
import { SerialQueue } from "./serial-queue.ts";
import type { ContainerRecord } from "./store.ts";

/** When a wait ends. not-running: at once unless it runs; next-exit: not before it has run; removed: when it is gone. */
export type WaitCondition = "not-running" | "next-exit" | "removed";

interface Waiter {
  condition: WaitCondition;
  resolve: (exitCode: number) => void;
}

/** One container in memory: its row, and what only a living daemon knows of it. */
export class Container {
  readonly record: ContainerRecord;
  /** Every change of `record`, and every start, happens in here. */
  readonly queue = new SerialQueue();
  /** The running init; after its end until the next start, its `gone` still tells when its files may be removed. */
  supervised: Supervised | undefined;
  /** Of the running init. Made anew on demand after a daemon restart. */
  ociConfig: OciConfig | undefined;
  /** Attached before the start. */
  readonly pendingAttaches = new Set<PendingAttach>();
  readonly execs = new Map<string, Exec>();
  /** Between the stop and the start of a restart, which AutoRemove must not use. */
  isRestarting = false;
  readonly #waiters = new Set<Waiter>();

  constructor(record: ContainerRecord) {
    this.record = record;
  }

  get id(): string {
    return this.record.id;
  }

  get isRunning(): boolean {
    return this.record.status === "running";
  }

  /** Resolves with the exit code: of the last run, of the next, or at removal. */
  wait(condition: WaitCondition, signal?: AbortSignal): Promise<number> {
    if (condition === "not-running" && !this.isRunning) return Promise.resolve(this.record.exitCode);
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
