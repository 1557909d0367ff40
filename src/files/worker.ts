/** The main loop of a file worker: see protocol.ts. */
import { closeSync, writeSync } from "node:fs";
import { LighterError } from "../base/errors.ts";
import { FILE_JOB_MAX_BYTES, FILE_WORKER_BEAT_MS } from "../base/limits.ts";
import { VERSION } from "../base/version.ts";
import { asLighterError, encodeError } from "../base/wire-error.ts";
import { dieWithParent } from "../linux/sys/parent-death.ts";
import { receiveWithFds } from "../linux/sys/passed-fds.ts";
import type { JobContext, JobMessage, JobTable, WorkerMessage } from "./protocol.ts";

const STDIN = 0;
const STDOUT = 1;
const packet = new Uint8Array(FILE_JOB_MAX_BYTES);

function send(message: WorkerMessage): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let done = 0; done < bytes.length; ) done += writeSync(STDOUT, bytes, done);
}

/** The daemon's next message; undefined if it has no more. */
function receive(): { value: unknown; fds: number[] } | undefined {
  const { bytes, fds } = receiveWithFds(STDIN, packet);
  return bytes.length === 0 ? undefined : { value: JSON.parse(Buffer.from(bytes).toString()), fds };
}

class Context implements JobContext {
  readonly fds: number[];
  readonly #received: number[] = [];
  #lastBeatMs = performance.now();

  constructor(fds: number[]) {
    this.fds = fds;
  }

  readonly beat = (): void => {
    const nowMs = performance.now();
    if (nowMs - this.#lastBeatMs < FILE_WORKER_BEAT_MS) return;
    this.#lastBeatMs = nowMs;
    send({ type: "beat" });
  };

  note(value: unknown): void {
    send({ type: "note", value });
  }

  receive(): { value: unknown; fds: readonly number[] } {
    const message = receive();
    if (message === undefined) process.exit(0);
    this.#received.push(...message.fds);
    return message;
  }

  close(): void {
    for (const fd of [...this.fds, ...this.#received]) closeSync(fd);
  }
}

/** Resolves with the exit code when the daemon has no more jobs. */
export async function runFileWorker(jobs: JobTable): Promise<number> {
  dieWithParent();
  process.umask(0o022);
  for (let message = receive(); message !== undefined; message = receive()) {
    const context = new Context(message.fds);
    let answer: WorkerMessage;
    try {
      const { version, kind, argument } = message.value as JobMessage;
      const handler = jobs.handlerOf(kind);
      // The executable may have been replaced since the daemon began.
      if (version !== VERSION || handler === undefined)
        throw new LighterError("internal", `a file worker of ${VERSION} cannot do "${kind}" of ${version}`);
      answer = { type: "done", result: await handler(argument, context) };
    } catch (error) {
      answer = { type: "failed", error: encodeError(asLighterError(error)) };
    } finally {
      context.close();
    }
    send(answer);
  }
  return 0;
}
