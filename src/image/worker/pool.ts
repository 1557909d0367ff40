/** Runs layer workers. */
import { LighterError, messageOf } from "../../base/errors.ts";
import { FILE_WORKER_STALL_MS, WORKERS_END_TIMEOUT_MS } from "../../base/limits.ts";
import { Pool } from "../../base/pool.ts";
import { Turns } from "../../base/turns.ts";
import { Stalled } from "../../files/mod.ts";
import { type SelfProcess, spawnSelf } from "../../linux/process/helper.ts";
import { type Input, openInput } from "./input.ts";
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

/** How long an idle worker is kept. It costs 40 MB; the layers of one image follow each other at once. */
const IDLE_MS = 1000;

class Worker {
  readonly #process: SelfProcess;
  readonly #lines: AsyncGenerator<string>;

  constructor(heldFd: number, onEnd: () => void, inputFds: readonly number[]) {
    this.#process = spawnSelf(["layer-worker"], [heldFd, ...inputFds]);
    void this.#process.ended.then(onEnd);
    this.#lines = readMessages(this.#process.output);
  }

  /**
   * Runs a job. @throws LighterError of the job. After any other error, one that is "internal", or `Stalled`, the worker must not
   * be used again.
   */
  async run<K extends JobKind>(
    job: JobOf<K> & { kind: K },
    { onProgress, onEntry }: JobListeners,
    stallMs: number,
  ): Promise<WorkerResults[K]> {
    this.#process.write(encodeJob(job));
    const stalled = Promise.withResolvers<never>();
    stalled.promise.catch(() => {}); // nobody may be waiting for it
    const timer = setTimeout(() => stalled.reject(new Stalled(stallMs)), stallMs);
    try {
      for (;;) {
        const { done, value } = await Promise.race([this.#lines.next(), stalled.promise]);
        if (done) throw new LighterError("internal", "the layer worker was killed"); // killed by lack of memory, or by hand
        timer.refresh();
        const message = decodeMessage(value, job.kind);
        if (message.type === "failed") throw message.error;
        if (message.type === "done") return message.result;
        if (message.type === "entry") onEntry?.(message.entry);
        else if (message.type === "progress")
          onProgress?.({ receivedBytes: message.receivedBytes, unpackedBytes: message.unpackedBytes });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kills it and resolves when it has ended. One that waits for a file system may never end, and is not waited for that long. */
  async kill(): Promise<void> {
    this.#process.kill();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, WORKERS_END_TIMEOUT_MS);
    await Promise.race([this.#process.ended, promise]);
    clearTimeout(timer);
  }
}

interface JobListeners {
  onProgress?(progress: LayerProgress): void;
  onEntry?(entry: ArchiveEntry): void;
}

/**
 * Processes that unpack layers, a limited number at a time; further jobs wait in order. Workers are started when there is work
 * and end soon after there is none. They die with this process, however it dies.
 */
export class LayerWorkers implements AsyncDisposable {
  readonly #heldFd: number;
  readonly #stallMs: number;
  readonly #turns: Turns;
  readonly #pool = new Pool<Worker>(IDLE_MS);

  /**
   * Every worker has `heldFd` open until it has ended: a process that locks it knows when all have. `stallMs` is how long a
   * worker may be silent.
   */
  constructor(maxCount: number, heldFd: number, stallMs = FILE_WORKER_STALL_MS) {
    this.#turns = new Turns(maxCount);
    this.#heldFd = heldFd;
    this.#stallMs = stallMs;
  }

  /** Applies from now on; busy workers finish. */
  set maxCount(count: number) {
    this.#turns.maxCount = count;
  }

  /** Whether a job that comes now has to wait. */
  get isBusy(): boolean {
    return this.#turns.areTaken;
  }

  /** Starts a worker for a job that will come soon: start-up takes as long as a small layer. */
  warm(): void {
    if (!this.#pool.isEmpty) return;
    try {
      this.#pool.giveBack(this.#start());
    } catch {} // no process can be started: the job will report it
  }

  /**
   * Runs what `job` returns when its turn comes. By the time this settles, the worker has stopped working on it for good.
   * @throws LighterError of the job; `Stalled`; `signal`'s reason if it was cancelled.
   */
  async run<K extends JobKind>(
    job: () => Promise<JobOf<K> & { kind: K }>,
    listeners: JobListeners = {},
    signal?: AbortSignal,
  ): Promise<WorkerResults[K]> {
    await this.#turns.take(signal);
    let worker: Worker | undefined;
    const onAbort = (): void => void worker?.kill();
    signal?.addEventListener("abort", onAbort);
    try {
      const theJob = await job();
      signal?.throwIfAborted();
      worker = this.#pool.take() ?? this.#start();
      const result = await worker.run<K>(theJob, listeners, this.#stallMs);
      signal?.throwIfAborted();
      this.#pool.giveBack(worker);
      return result;
    } catch (error) {
      // A worker that has met bad content is not trusted with the next layer.
      if (worker !== undefined) await this.#pool.discard(worker);
      signal?.throwIfAborted();
      if (error instanceof LighterError) throw error;
      throw new LighterError("internal", `layer worker: ${messageOf(error)}`, { cause: error });
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#turns.giveBack();
    }
  }

  /** Runs a job that reads `input`, in a worker of its own. @throws as `run`; what `input` throws. */
  async runWith<K extends JobKind>(
    input: Input,
    job: JobOf<K> & { kind: K },
    listeners: JobListeners = {},
  ): Promise<WorkerResults[K]> {
    await this.#turns.take();
    let worker: Worker | undefined;
    const opened = openInput(input);
    try {
      try {
        worker = this.#start(opened.fds);
      } finally {
        opened.passed();
      }
      return await Promise.race([worker.run<K>(job, listeners, this.#stallMs), opened.failed]);
    } finally {
      opened.close();
      if (worker !== undefined) await this.#pool.discard(worker);
      this.#turns.giveBack();
    }
  }

  #start(inputFds: readonly number[] = []): Worker {
    const worker = new Worker(this.#heldFd, () => void this.#pool.discard(worker), inputFds);
    this.#pool.add(worker);
    return worker;
  }

  /** Kills all workers, also in the middle of their jobs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.close();
  }
}
