import type { Socket } from "node:net";
import { type Readable, Transform, type Writable } from "node:stream";
import { DetachScanner } from "../../base/detach-keys.ts";
import type { ClientStream } from "./client-stream.ts";

export interface PumpOptions {
  stdin: boolean;
  /** The end of the client's input is the end of the process's. */
  closeStdinOnEnd: boolean;
  /** Clients ask for the exit code when the stream ends: it ends when the code is known. */
  exitKnown?: Promise<unknown>;
  /** Of a terminal: these keys in its input end the stream and leave the process alone. */
  detachKeys: Uint8Array | undefined;
  /** They were pressed. */
  onDetach?: () => void;
  /** From the process's output to what the client gets, where that has another form. */
  reframe?: ((chunk: Buffer) => Buffer) | undefined;
  /** What is to be said behind all output. */
  lastWords?: () => Buffer;
}

/**
 * Joins a client with a process until the process's output has ended, the client has detached, or it has gone and the
 * process has all that it sent. Both sides are slowed down to the pace of the other. Closes both.
 */
export async function pump(client: ClientStream, process: Socket, options: PumpOptions): Promise<void> {
  process.on("error", () => process.destroy());
  const output = passOutput(client.output, process, options);
  const input = passInput(client.input, process, options);
  await Promise.race([
    output.then((how) => (how === "ended" ? how : Promise.race([input, endOf(process)]))),
    input.then((how) => (how === "detached" ? how : output)),
  ]);
  process.destroySoon(); // what was written to it arrives
  client.close();
}

async function passOutput(output: Writable, process: Socket, options: PumpOptions): Promise<"ended" | "gone"> {
  const source = options.reframe === undefined ? process : reframed(process, options.reframe);
  const [ended, gone] = [endOf(source).then(() => "ended" as const), closeOf(output).then(() => "gone" as const)];
  // Not `end: true`: the client's stream is closed once, however this ends.
  if (!output.destroyed) source.pipe(output, { end: false });
  if ((await Promise.race([ended, gone])) === "gone") {
    source.resume(); // dropped: what is not read holds up the other clients
    return "gone";
  }
  await Promise.race([options.exitKnown, gone]);
  if (options.lastWords !== undefined && !output.destroyed) output.write(options.lastWords());
  return "ended";
}

/** Ends with the process's output, also where that breaks off. */
function reframed(process: Socket, act: (chunk: Buffer) => Buffer): Readable {
  const transform = new Transform({ transform: (chunk: Buffer, _encoding, done) => done(null, act(chunk)) });
  process.once("close", () => transform.end());
  return process.pipe(transform);
}

async function passInput(input: Readable, process: Socket, options: PumpOptions): Promise<"ended" | "detached"> {
  if (!options.stdin) {
    input.resume(); // dropped; unread it would hide the end of the connection
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
  input.resume(); // whoever read the request's body has paused it
  const how = await Promise.race([ended, detached]);
  if (how === "detached") return how;
  const rest = scanner?.flush();
  if (rest !== undefined && rest.length > 0) process.write(rest);
  if (options.closeStdinOnEnd) process.end();
  return how;
}

/** Resolves when nothing more comes from `stream`, also if that is so already: an end that nobody waited for is not told again. */
function endOf(stream: Readable): Promise<void> {
  if (stream.readableEnded || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => stream.once("end", resolve).once("close", resolve));
}

/** Resolves when `stream` has closed, also if that was before. */
function closeOf(stream: Writable): Promise<void> {
  if (stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => stream.once("close", resolve));
}
