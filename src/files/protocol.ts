/**
 * The protocol between the daemon and a file worker. The daemon's messages are packets of JSON on the worker's stdin, with fds;
 * the worker's are lines of JSON on its stdout.
 *
 *   daemon                              worker
 *     job, fds       ───────────────►
 *                    ◄───────────────   beat, some per minute while it makes progress
 *                    ◄───────────────   note, if the job sends any; the daemon may send more, with fds
 *                    ◄───────────────   done, or failed: then the next job may come
 *     end of stdin   ───────────────►   exits
 *
 * A worker has one job at a time and is killed to cancel it. Its only thread waits for the file system: a worker that is silent
 * for long has met one that does not answer.
 */

/** The name of a job. Its type says what goes in and what comes out, both as JSON. */
export interface FileJob<Argument, Result> {
  readonly kind: string;
  /** True if it waits for a client as well as for files. Such jobs do not hold up the others. */
  readonly hasClient?: true;
  readonly types?: { argument: Argument; result: Result };
}

export interface JobMessage {
  version: string;
  kind: string;
  argument: unknown;
}

export type WorkerMessage =
  | { type: "beat" }
  | { type: "note"; value: unknown }
  | { type: "done"; result: unknown }
  | { type: "failed"; error: unknown };

/** What a worker offers to its job. */
export interface JobContext {
  /** Closed when the job is over. */
  readonly fds: readonly number[];
  /** Must be called for every small piece of work. */
  readonly beat: () => void;
  note(value: unknown): void;
  /** Waits for the daemon's next message. */
  receive(): { value: unknown; fds: readonly number[] };
}

// biome-ignore lint/suspicious/noExplicitAny: the table holds jobs of all kinds
type Handler = (argument: any, context: JobContext) => unknown;

/** The jobs that a worker can do. */
export class JobTable {
  readonly #handlers = new Map<string, Handler>();

  on<Argument, Result>(
    job: FileJob<Argument, Result>,
    handler: (argument: Argument, context: JobContext) => Result | Promise<Result>,
  ): this {
    this.#handlers.set(job.kind, handler);
    return this;
  }

  handlerOf(kind: string): Handler | undefined {
    return this.#handlers.get(kind);
  }
}
