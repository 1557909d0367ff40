/** Gives bytes to a job: from the daemon, or from the client that sends them. */
import { closeSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { FILE_INPUT_BYTES } from "../base/limits.ts";
import { writeAll } from "../base/writable.ts";
import { rewind } from "../linux/sys/directory.ts";
import { socketPair } from "../linux/sys/passed-fds.ts";
import { receiveBytes } from "../linux/sys/stream-bytes.ts";
import { type BodyForm, bodyOf } from "./body.ts";
import type { FileJob } from "./protocol.ts";
import type { FileWorkers, RunOptions } from "./workers.ts";

/** A request's body on its client's connection. Whoever has the fds owns it. */
export interface RawBody {
  fd: number;
  form: BodyForm;
  /** A file with the part of the body that was read already. */
  firstFd: number;
}

/** In the worker: all bytes that come from an fd. A piece is valid until the next one is asked for. */
export async function* receiveAll(fd: number, beat: () => void): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(FILE_INPUT_BYTES);
  for (;;) {
    const length = receiveBytes(fd, buffer, beat);
    if (length === 0) return;
    yield buffer.subarray(0, length);
  }
}

/** In the worker: the bytes of a body, and nothing after it. A piece is valid until the next one is asked for. */
export function receiveBody({ fd, form, firstFd }: RawBody, beat: () => void): AsyncIterable<Uint8Array> {
  rewind(firstFd);
  const all = async function* () {
    yield* receiveAll(firstFd, beat);
    yield* receiveAll(fd, beat);
  };
  return bodyOf(form, all());
}

/** Runs a job that reads `source` from its last fd. @throws LighterError of the job; what `source` throws; `signal`'s reason */
export async function runWithInput<Argument, Result>(
  workers: FileWorkers,
  job: FileJob<Argument, Result>,
  argument: Argument,
  { fds = [], onNote, signal }: Pick<RunOptions, "fds" | "onNote" | "signal">,
  source: AsyncIterable<Uint8Array>,
): Promise<Result> {
  const [ours, theirs] = socketPair("stream");
  const socket = connect({ fd: ours } as Parameters<typeof connect>[0] & object) as Socket;
  socket.on("error", () => {}); // the job's own error says why it takes no more
  const aborter = new AbortController();
  let isClosed = false;
  const closeTheirs = () => {
    if (!isClosed) closeSync(theirs);
    isClosed = true;
  };
  try {
    const signals = AbortSignal.any([aborter.signal, ...(signal === undefined ? [] : [signal])]);
    const own = { fds: [...fds, theirs], signal: signals, onSent: closeTheirs };
    const options = onNote === undefined ? own : { ...own, onNote };
    const running = workers.run(job, argument, options);
    void writeAll(source, socket).catch((error: unknown) => aborter.abort(error));
    return await running;
  } finally {
    closeTheirs();
    socket.destroy();
  }
}
