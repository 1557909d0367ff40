import { closeSync } from "node:fs";
import { join } from "node:path";
import { LighterError, messageOf } from "../../base/errors.ts";
import { type SelfProcess, spawnSelf } from "../../linux/process/self.ts";
import { socketPair } from "../../linux/sys/passed-fds.ts";
import { feed } from "./input.ts";
import {
  type ArchiveEntry,
  decodeMessage,
  encodeJob,
  type JobKind,
  type JobOf,
  type LayerProgress,
  readMessages,
  type WorkerResults,
} from "./protocol.ts";

/** Where this runs from source. */
const ENTRY_PATH = join(import.meta.dirname, "../../main.ts");

/** Idle workers cost 40 MB each; the layers of one image follow each other at once. */
const IDLE_MS = 1000;

class Worker {
  readonly #process: SelfProcess;
  readonly #lines: AsyncGenerator<string>;
  idleTimer: NodeJS.Timeout | undefined;

  constructor(heldFd: number, onEnd: () => void, inputFd?: number) {
    const fds = inputFd === undefined ? [heldFd] : [heldFd, inputFd];
    this.#process = spawnSelf(ENTRY_PATH, ["layer-worker"], fds);
    void this.#process.ended.then(onEnd);
    this.#lines = readMessages(this.#process.output);
  }

  /** @throws LighterError of the job; any other error, or one that is "internal", means that the worker is not to be used again. */
  async run<K extends JobKind>(
    job: JobOf<K> & { kind: K },
    { onProgress, onEntry }: JobListeners,
  ): Promise<WorkerResults[K]> {
    this.#process.write(encodeJob(job));
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done) throw new LighterError("internal", "the layer worker was killed"); // out of memory, or by hand
      const message = decodeMessage(value, job.kind);
      if (message.type === "failed") throw message.error;
      if (message.type === "done") return message.result;
      if (message.type === "entry") onEntry?.(message.entry);
      else onProgress?.({ receivedBytes: message.receivedBytes, unpackedBytes: message.unpackedBytes });
    }
  }

  kill(): Promise<void> {
    clearTimeout(this.idleTimer);
    this.#process.kill();
    return this.#process.ended;
  }
}

export interface JobListeners {
  onProgress?(progress: LayerProgress): void;
  onEntry?(entry: ArchiveEntry): void;
}

interface Waiting {
  take(): void;
  leave(error: unknown): void;
}

/**
 * Processes that unpack layers, so many at a time and the rest in the order they came. Started when there is work, ended
 * soon after there is none. They die with this process, however it dies.
 */
export class LayerWorkers implements AsyncDisposable {
  #maxCount: number;
  readonly #heldFd: number;
  readonly #all = new Set<Worker>();
  readonly #idle: Worker[] = [];
  readonly #queue: Waiting[] = [];
  #busyCount = 0;

  /** `heldFd`: every worker has it open until it has ended; who has locked it knows when all have. */
  constructor(maxCount: number, heldFd: number) {
    this.#maxCount = maxCount;
    this.#heldFd = heldFd;
  }

  /** From now on; workers that are busy finish. */
  set maxCount(count: number) {
    this.#maxCount = count;
    for (let next = this.#queue[0]; next !== undefined && !this.isBusy; next = this.#queue[0]) {
      this.#queue.shift();
      this.#busyCount++;
      next.take();
    }
  }

  /** A job that comes now has to wait. */
  get isBusy(): boolean {
    return this.#busyCount >= this.#maxCount;
  }

  /** Starts a worker for a job that will come soon: start-up takes as long as a small layer. */
  warm(): void {
    if (this.#all.size > 0) return;
    try {
      this.#release(this.#start());
    } catch {} // no processes to be had: the job will say so
  }

  /**
   * Runs what `job` says when its turn comes. When it is over, its worker no longer touches anything.
   * @throws LighterError of the job; `signal`'s reason if it was cancelled.
   */
  async run<K extends JobKind>(
    job: () => Promise<JobOf<K> & { kind: K }>,
    listeners: JobListeners = {},
    signal?: AbortSignal,
  ): Promise<WorkerResults[K]> {
    await this.#takeTurn(signal);
    let worker: Worker | undefined;
    const onAbort = (): void => void worker?.kill();
    signal?.addEventListener("abort", onAbort);
    try {
      const theJob = await job();
      signal?.throwIfAborted();
      worker = this.#takeWorker();
      const result = await worker.run<K>(theJob, listeners);
      signal?.throwIfAborted();
      this.#release(worker);
      return result;
    } catch (error) {
      // One that has met bad content is not trusted with the next layer.
      if (worker !== undefined) await this.#discard(worker);
      signal?.throwIfAborted();
      if (error instanceof LighterError) throw error;
      throw new LighterError("internal", `layer worker: ${messageOf(error)}`, { cause: error });
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#passTurn();
    }
  }

  /**
   * Runs a job that reads what `input` gives, in a worker of its own. @throws as `run`; what `input` throws.
   */
  async runWith<K extends JobKind>(
    input: AsyncIterable<Uint8Array>,
    job: JobOf<K> & { kind: K },
    listeners: JobListeners = {},
  ): Promise<WorkerResults[K]> {
    await this.#takeTurn(undefined);
    let worker: Worker | undefined;
    const [ours, its] = socketPair("stream");
    const stream = feed(input, ours);
    try {
      worker = this.#start(its);
      closeSync(its);
      return await Promise.race([worker.run<K>(job, listeners), stream.failed]);
    } finally {
      stream.close();
      if (worker === undefined) closeSync(its);
      else await this.#discard(worker);
      this.#passTurn();
    }
  }

  #passTurn(): void {
    const next = this.#busyCount > this.#maxCount ? undefined : this.#queue.shift();
    if (next === undefined) this.#busyCount--;
    else next.take(); // the turn is its own now
  }

  async #takeTurn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#busyCount < this.#maxCount) {
      this.#busyCount++;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { take: resolve, leave: reject };
    this.#queue.push(waiting);
    const onAbort = (): void => {
      const index = this.#queue.indexOf(waiting);
      if (index >= 0) this.#queue.splice(index, 1);
      waiting.leave(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort);
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #start(inputFd?: number): Worker {
    const worker = new Worker(this.#heldFd, () => this.#forget(worker), inputFd);
    this.#all.add(worker);
    return worker;
  }

  #takeWorker(): Worker {
    const worker = this.#idle.pop() ?? this.#start();
    clearTimeout(worker.idleTimer);
    return worker;
  }

  #release(worker: Worker): void {
    this.#idle.push(worker);
    worker.idleTimer = setTimeout(() => void this.#discard(worker), IDLE_MS);
    worker.idleTimer.unref();
  }

  async #discard(worker: Worker): Promise<void> {
    this.#forget(worker);
    await worker.kill();
  }

  #forget(worker: Worker): void {
    this.#all.delete(worker);
    const index = this.#idle.indexOf(worker);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  /** Ends all workers, in the middle of their jobs too. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#all].map((worker) => this.#discard(worker)));
  }
}
