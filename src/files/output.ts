/**
 * Takes bytes from a job. The job first sends a head, then waits until the daemon says where the bytes go: to the daemon itself,
 * or past it into the socket of the client that asked for them.
 */
import { closeSync, readSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { LighterError } from "../base/errors.ts";
import { FILE_OUTPUT_BYTES, FILE_SOCKET_BUFFER_BYTES } from "../base/limits.ts";
import { socketPair } from "../linux/sys/passed-fds.ts";
import { setSendBuffer } from "../linux/sys/socket-buffers.ts";
import { sendBytes, sendWithFdsPatiently } from "../linux/sys/stream-bytes.ts";
import { type FileRange, formatFileChunk } from "../spec/file-range.ts";
import type { FileJob, JobContext } from "./protocol.ts";
import type { FileWorkers, RunOptions } from "./workers.ts";

/** "chunks" is HTTP/1.1's chunked coding, without its end; in "files", ranges are descriptors, see spec/file-range.ts. */
type Form = "plain" | "chunks" | "files";

const CHUNK_END = Buffer.from("\r\n");

/** In the worker: writes the output. Small pieces are sent together. */
export class JobWriter {
  readonly #fd: number;
  readonly #form: Form;
  readonly #beat: () => void;
  readonly #gathered = Buffer.allocUnsafeSlow(FILE_OUTPUT_BYTES);
  #length = 0;

  constructor(fd: number, form: Form, beat: () => void) {
    this.#fd = fd;
    this.#form = form;
    this.#beat = beat;
    setSendBuffer(fd, FILE_SOCKET_BUFFER_BYTES);
  }

  write(bytes: Uint8Array): void {
    this.#beat();
    if (this.#length + bytes.length > this.#gathered.length) this.end();
    if (bytes.length > this.#gathered.length) {
      this.#sendPiece(bytes);
      return;
    }
    this.#gathered.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Sends the descriptor, or the bytes; those that are missing are zeros. */
  writeRange(range: FileRange): void {
    this.end();
    if (this.#form === "files") {
      sendWithFdsPatiently(this.#fd, Buffer.from(formatFileChunk(range)), [range.fd], this.#beat);
      return;
    }
    for (let done = 0; done < range.length; done += this.#length, this.end()) {
      const length = Math.min(range.length - done, this.#gathered.length);
      this.#length = readSync(range.fd, this.#gathered, 0, length, range.offset + done);
      if (this.#length === 0) this.#gathered.fill(0, 0, length);
      this.#length ||= length;
      this.#beat();
    }
  }

  end(): void {
    if (this.#length > 0) this.#sendPiece(this.#gathered.subarray(0, this.#length));
    this.#length = 0;
  }

  #sendPiece(bytes: Uint8Array): void {
    if (this.#form !== "plain") this.#send(Buffer.from(`${bytes.length.toString(16)}\r\n`));
    this.#send(bytes);
    if (this.#form !== "plain") this.#send(CHUNK_END);
  }

  #send(bytes: Uint8Array): void {
    sendBytes(this.#fd, bytes, this.#beat);
  }
}

/** In the worker: sends the head, then all of the bytes. If anything fails before the first byte, the head is not sent. */
export function writeOutput(context: JobContext, head: unknown, bytes: Iterable<Uint8Array | FileRange>): null {
  const chunks = bytes[Symbol.iterator]();
  try {
    let next = chunks.next();
    context.note(head);
    const { value, fds } = context.receive();
    const writer = new JobWriter(fds[0]!, value as Form, context.beat);
    for (; !next.done; next = chunks.next())
      if ("fd" in next.value) writer.writeRange(next.value);
      else writer.write(next.value);
    writer.end();
    return null;
  } finally {
    chunks.return?.();
  }
}

/** In the daemon: the output of a job, to be read once. */
export class JobOutput {
  readonly #reply: (form: Form, fds: readonly number[]) => void;
  readonly #running: Promise<unknown>;
  isTaken = false;

  constructor(reply: (form: Form, fds: readonly number[]) => void, running: Promise<unknown>) {
    this.#reply = reply;
    this.#running = running;
  }

  /** The bytes. @throws LighterError of the job, after the bytes it wrote before */
  async *bytes(): AsyncGenerator<Uint8Array> {
    const [ours, theirs] = socketPair("stream");
    const socket = connect({ fd: ours } as Parameters<typeof connect>[0] & object) as Socket;
    try {
      try {
        this.#take("plain", theirs);
      } finally {
        closeSync(theirs);
      }
      for await (const chunk of socket) yield chunk as Uint8Array;
      await this.#running;
    } finally {
      socket.destroy();
    }
  }

  /**
   * Sends the bytes into a socket, as chunks of an HTTP/1.1 answer that has begun, or descriptors if the client `takesFiles`. Resolves
   * when the kernel has all of them.
   */
  async sendTo(socketFd: number, takesFiles = false): Promise<void> {
    this.#take(takesFiles ? "files" : "chunks", socketFd);
    await this.#running;
  }

  #take(form: Form, fd: number): void {
    this.isTaken = true;
    this.#reply(form, [fd]);
  }
}

/** Runs a job that calls `writeOutput`. @throws LighterError of the job, and what `receive` throws */
export async function runWithOutput<Argument, Head>(
  workers: FileWorkers,
  job: FileJob<Argument, null>,
  argument: Argument,
  { fds }: Pick<RunOptions, "fds">,
  receive: (head: Head, output: JobOutput) => Promise<void>,
): Promise<void> {
  const aborter = new AbortController();
  const begun = Promise.withResolvers<{ head: Head; reply: (form: Form, fds: readonly number[]) => void }>();
  const running = workers.run(job, argument, {
    fds: fds ?? [],
    signal: aborter.signal,
    onNote: (head, reply) => begun.resolve({ head: head as Head, reply }),
  });
  running.catch(begun.reject);
  try {
    const { head, reply } = await begun.promise;
    const output = new JobOutput(reply, running);
    await receive(head, output);
    if (output.isTaken) await running;
  } finally {
    aborter.abort(new LighterError("internal", "nobody takes what it gives"));
  }
}
