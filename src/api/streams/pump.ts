/** Joins a client's stream with a process's. */
import type { Socket } from "node:net";
import { type Readable, Transform, type Writable } from "node:stream";
import { DetachScanner } from "../../base/detach-keys.ts";
import type { ClientStream } from "./client-stream.ts";

export interface PumpOptions {
  stdin: boolean;
  /** Whether the end of the client's input ends the process's input. */
  closeStdinOnEnd: boolean;
  /** If given, the stream stays open until this resolves, because clients ask for the exit code when the stream ends. */
  exitKnown?: Promise<unknown>;
  /** Keys in a terminal's input that end the stream and leave the process running. */
  detachKeys: Uint8Array | undefined;
  /** Called when the keys were pressed. */
  onDetach?: () => void;
  /** Turns the process's output into the client's form, if that is a different one. */
  reframe?: ((chunk: Buffer) => Buffer) | undefined;
  /** Returns what is sent after all output. */
  lastWords?: () => Buffer;
}

/**
 * Joins a client with a process until the process's output has ended, the client has detached, or the client has gone and the
 * process has everything that it sent. Each side is slowed down to the pace of the other. Closes both.
 */
export async function pump(client: ClientStream, process: Socket, options: PumpOptions): Promise<void> {
  process.on("error", () => process.destroy());
  const output = passOutput(client.output, process, options);
  const input = passInput(client.input, process, options);
  await Promise.race([
    output.then((how) => (how === "ended" ? how : Promise.race([input, endOf(process)]))),
    input.then((how) => (how === "detached" ? how : output)),
  ]);
  process.destroySoon(); // what was written still arrives
  client.close();
}

async function passOutput(output: Writable, process: Socket, options: PumpOptions): Promise<"ended" | "gone"> {
  const source = options.reframe === undefined ? process : reframed(process, options.reframe);
  const [ended, gone] = [endOf(source).then(() => "ended" as const), closeOf(output).then(() => "gone" as const)];
  // The output is not ended here: the client's stream is closed once, however this ends.
  if (!output.destroyed) source.pipe(output, { end: false });
  if ((await Promise.race([ended, gone])) === "gone") {
    source.resume(); // discarded: unread output would hold up the other clients
    return "gone";
  }
  await Promise.race([options.exitKnown, gone]);
  if (options.lastWords !== undefined && !output.destroyed) output.write(options.lastWords());
  return "ended";
}

/** The process's output in another form. It ends with the process's output, even if that breaks off. */
function reframed(process: Socket, act: (chunk: Buffer) => Buffer): Readable {
  const transform = new Transform({ transform: (chunk: Buffer, _encoding, done) => done(null, act(chunk)) });
  process.once("close", () => transform.end());
  return process.pipe(transform);
}

async function passInput(input: Readable, process: Socket, options: PumpOptions): Promise<"ended" | "detached"> {
  if (!options.stdin) {
    input.resume(); // discarded: unread input would hide the end of the connection
    return "ended";
  }
  const ended = endOf(input).then(() => "ended" as const);
  const scanner = options.detachKeys === undefined ? undefined : new DetachScanner(options.detachKeys);
  const { promise: detached, resolve: detach } = Promise.withResolvers<"detached">();
  process.on("drain", () => input.resume());
  input.on("data", (chunk: Buffer) => {
    const { output, detached } = scanner?.push(chunk) ?? { output: chunk, detached: false };
    if (output.length > 0 && !process.write(output)) input.pause();
    if (!detached) return;
    options.onDetach?.();
    detach("detached");
  });
  input.resume(); // the reader of the request's body has paused it
  const how = await Promise.race([ended, detached]);
  if (how === "detached") return how;
  const rest = scanner?.flush();
  if (rest !== undefined && rest.length > 0) process.write(rest);
  if (options.closeStdinOnEnd) process.end();
  return how;
}

/** Resolves when `stream` has ended. An end that has already happened counts: it is not announced a second time. */
function endOf(stream: Readable): Promise<void> {
  if (stream.readableEnded || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => stream.once("end", resolve).once("close", resolve));
}

/** Resolves when `stream` has closed, even if that was before. */
function closeOf(stream: Writable): Promise<void> {
  if (stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => stream.once("close", resolve));
}
