/**
 * Runs jobs in processes of their own, which walk, copy, measure and remove files of containers, images and volumes. Such files
 * may be on a file system that never answers, or be made to take forever: then only the worker suffers.
 */
import { closeSync } from "node:fs";
import { LighterError, messageOf } from "../base/errors.ts";
import { FILE_MESSAGE_MAX_CHARS, FILE_WORKER_STALL_MS, FILE_WORKERS_MAX } from "../base/limits.ts";
import { readLines } from "../base/lines.ts";
import { Pool } from "../base/pool.ts";
import { Turns } from "../base/turns.ts";
import { VERSION } from "../base/version.ts";
import { decodeError } from "../base/wire-error.ts";
import { type SelfOnSocket, spawnSelfOn } from "../linux/process/helper.ts";
import { sendWithFds, socketPair } from "../linux/sys/passed-fds.ts";
import type { FileJob, JobMessage, WorkerMessage } from "./protocol.ts";

/** How long an idle worker is kept. It costs 40 MB, and a new one 20 ms; jobs come in bursts. */
const IDLE_MS = 3000;

export interface RunOptions {
  /** Fds that the worker gets copies of; the caller keeps its own. */
  fds?: readonly number[];
  signal?: AbortSignal | undefined;
  /** Called when the worker has its copies of the fds. */
  onSent?: () => void;
  /** Called for what the job reports before its end; `reply` sends a message back. */
  onNote?: (value: unknown, reply: (value: unknown, fds: readonly number[]) => void) => void;
}

/** Thrown for a job whose worker was silent for too long. */
export class Stalled extends LighterError {
  constructor(stallMs: number) {
    super("unavailable", `the file system has not answered for ${Math.round(stallMs / 1000)} s`);
  }
}

/** The error of a worker that was killed: for lack of memory, by hand, or by us. */
function wasKilled(): LighterError {
  return new LighterError("internal", "the file worker was killed");
}

class Worker {
  readonly #socketFd: number;
  readonly #process: SelfOnSocket;
  readonly #lines: AsyncGenerator<string>;
  #isClosed = false;

  constructor(onEnd: () => void) {
    const [ours, theirs] = socketPair("packets");
    try {
      this.#process = spawnSelfOn(["file-worker"], theirs);
    } catch (error) {
      closeSync(ours);
      throw error;
    } finally {
      closeSync(theirs);
    }
    this.#socketFd = ours;
    void this.#process.ended.then(onEnd);
    this.#lines = readLines(this.#process.output, FILE_MESSAGE_MAX_CHARS, "file worker");
  }

  /**
   * Sends a message. @throws LighterError "internal" when the worker was killed: by then our fd's number may be somebody else's.
   */
  send(value: unknown, fds: readonly number[]): void {
    if (this.#isClosed) throw wasKilled();
    sendWithFds(this.#socketFd, Buffer.from(JSON.stringify(value)), fds);
  }

  async next(): Promise<WorkerMessage> {
    const { done, value } = await this.#lines.next();
    if (done) throw wasKilled();
    return JSON.parse(value) as WorkerMessage;
  }

  /** Kills the worker without waiting for its end: one that waits for a file system may never end. */
  kill(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#process.kill();
    closeSync(this.#socketFd);
  }
}

/** Starts as many workers as there are jobs, up to a limit; further jobs wait. Workers die with this process, however it dies. */
export class FileWorkers implements Disposable {
  readonly #stallMs: number;
  readonly #pool = new Pool<Worker>(IDLE_MS);
  readonly #withClients: Turns;
  readonly #others: Turns;

  /** `stallMs` is how long a worker may be silent; `maxCount` limits those that wait for a client, and also the others. */
  constructor(stallMs = FILE_WORKER_STALL_MS, maxCount = FILE_WORKERS_MAX) {
    this.#stallMs = stallMs;
    this.#withClients = new Turns(maxCount);
    this.#others = new Turns(maxCount);
  }

  /**
   * Runs a job. @throws LighterError of the job; `Stalled`; `signal`'s reason. By then the worker has stopped working on it for
   * good.
   */
  async run<Argument, Result>(
    job: FileJob<Argument, Result>,
    argument: Argument,
    options: RunOptions = {},
  ): Promise<Result> {
    const turns = job.hasClient ? this.#withClients : this.#others;
    await turns.take(options.signal);
    let worker: Worker | undefined;
    try {
      options.signal?.throwIfAborted();
      if (this.#pool.isClosed) throw new LighterError("unavailable", "the daemon is being closed");
      worker = this.#pool.take() ?? this.#start();
      const message: JobMessage = { version: VERSION, kind: job.kind, argument };
      worker.send(message, options.fds ?? []);
      options.onSent?.();
      const answer = await this.#answerOf(worker, options);
      this.#pool.giveBack(worker);
      worker = undefined;
      if (answer.type === "done") return answer.result as Result;
      throw decodeError(answer.error) ?? new LighterError("internal", "the file worker's error is malformed");
    } catch (error) {
      if (worker !== undefined) this.#pool.discard(worker);
      if (error instanceof LighterError || options.signal?.aborted) throw error;
      throw new LighterError("internal", `file worker: ${messageOf(error)}`, { cause: error });
    } finally {
      turns.giveBack();
    }
  }

  async #answerOf(
    worker: Worker,
    { signal, onNote = () => {} }: RunOptions,
  ): Promise<Extract<WorkerMessage, { type: "done" | "failed" }>> {
    const over = Promise.withResolvers<never>();
    over.promise.catch(() => {}); // it may be rejected when nobody waits for it
    const timer = setTimeout(() => over.reject(new Stalled(this.#stallMs)), this.#stallMs);
    const onAbort = () => over.reject(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    try {
      for (;;) {
        const message = await Promise.race([worker.next(), over.promise]);
        timer.refresh();
        if (message.type === "note") onNote(message.value, (value, fds) => worker.send(value, fds));
        else if (message.type !== "beat") return message;
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #start(): Worker {
    const worker = new Worker(() => this.#pool.discard(worker));
    this.#pool.add(worker);
    return worker;
  }

  /** Kills all workers, also in the middle of their jobs. */
  [Symbol.dispose](): void {
    void this.#pool.close();
  }
}
