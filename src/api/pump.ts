import type { Socket } from "node:net";
import { DetachScanner } from "../engine/mod.ts";
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
  /** What is to be said behind all output. */
  lastWords?: () => Buffer;
}

/**
 * Joins a client with a process until the process's output has ended, the client has gone, or it has detached.
 * Both sides are slowed down to the pace of the other. Closes both.
 */
export function pump(client: ClientStream, process: Socket, options: PumpOptions): Promise<void> {
  const { promise: done, resolve: finish } = Promise.withResolvers<void>();
  const { input, output } = client;
  process.on("error", () => process.destroy());
  let hasEnded = false;
  const end = async () => {
    if (hasEnded) return;
    hasEnded = true;
    await options.exitKnown;
    if (options.lastWords !== undefined && !output.destroyed) output.write(options.lastWords());
    finish();
  };
  process.on("end", end).on("close", end);
  output.on("close", finish);
  // Not `end: true`: the client's stream is closed below, once, however this ends.
  process.pipe(output, { end: false });
  if (options.stdin) pumpInput(client, process, options, finish);
  else input.resume(); // dropped; unread it would hide the end of the connection
  return done.then(() => {
    process.destroy();
    client.close();
  });
}

function pumpInput({ input }: ClientStream, process: Socket, options: PumpOptions, finish: () => void): void {
  const scanner = options.detachKeys === undefined ? undefined : new DetachScanner(options.detachKeys);
  process.on("drain", () => input.resume());
  input.on("data", (chunk: Buffer) => {
    const { output, detached } = scanner?.push(chunk) ?? { output: chunk, detached: false };
    if (output.length > 0 && !process.write(output)) input.pause();
    if (!detached) return;
    options.onDetach?.();
    finish();
  });
  input.on("end", () => {
    const rest = scanner?.flush();
    if (rest !== undefined && rest.length > 0) process.write(rest);
    if (options.closeStdinOnEnd) process.end();
  });
  input.resume(); // whoever read the request's body has paused it
}
