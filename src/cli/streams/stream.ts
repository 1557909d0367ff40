/** Copies bytes between our own stdio and a container's. */
import { text } from "../../base/bytes.ts";
import { DEFAULT_DETACH_KEYS, DetachScanner, parseDetachKeys } from "../../base/detach-keys.ts";
import { type Client, encodeQuery } from "../http/client.ts";
import type { Response } from "../http/http.ts";
import { stderr, stdout } from "../output.ts";
import { Demultiplexer, type OwnStream } from "./demux.ts";

/** A message of the daemon between the output, in streams that have such messages. */
export interface OwnMessage {
  kind: OwnStream;
  text: string;
}

/**
 * Copies a multiplexed body, or with `raw` a terminal's plain bytes, to our stdout and stderr until it ends. With
 * `onMessage` the body is that of POST /lighter/run, or of an exec in one request.
 */
export async function copyOutput(
  response: Response,
  raw: boolean,
  onMessage?: (message: OwnMessage) => void | Promise<void>,
): Promise<void> {
  const demultiplexer = new Demultiplexer(onMessage !== undefined);
  for (let piece = await response.read(); piece !== undefined; piece = await response.read()) {
    if (raw) await stdout.write(piece);
    else
      for (const { stream, bytes } of demultiplexer.push(piece))
        if (stream === "stdout") await stdout.write(bytes);
        else if (stream === "stderr") await stderr.write(bytes);
        else await onMessage?.({ kind: stream, text: text(bytes) });
  }
}

interface AttachRequest {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Keys that detach, "" for the default. */
  readonly detachKeys: string;
  /** How many lines of the log come first. */
  readonly tail?: number;
}

/** Requests a container's streams; the answer is what `streamAttached` takes. */
export function requestAttach(client: Client, id: string, request: AttachRequest): Promise<Response> {
  const query = encodeQuery({
    detachKeys: request.detachKeys || undefined,
    logs: request.tail === undefined ? undefined : "1",
    stderr: request.stderr ? "1" : undefined,
    stdin: request.stdin ? "1" : undefined,
    stdout: request.stdout ? "1" : undefined,
    stream: "1",
    tail: request.tail === undefined ? undefined : String(request.tail),
  });
  return client.request({ method: "POST", path: `/containers/${id}/attach${query}`, upgrade: true });
}

interface AttachedStreams {
  readonly stdin: boolean;
  /** Whether stdout or stderr is attached, so that there is output to wait for. */
  readonly output: boolean;
  readonly tty: boolean;
  readonly detachKeys: string;
  /** Receives messages, as for `copyOutput`. */
  readonly onMessage?: (message: OwnMessage) => void | Promise<void>;
}

/**
 * Runs an attached session until the container's output ends, or the user types the detach keys, or, with stdin alone,
 * until stdin ends. With a terminal on both sides ours is raw during the session, and is restored before this settles.
 * `response` is the answer to an upgrade.
 */
export async function streamAttached(response: Response, streams: AttachedStreams): Promise<"ended" | "detached"> {
  let restore = () => {};
  if (streams.stdin && streams.tty) restore = (await import("../../linux/sys/tty.ts")).setRawMode(0);
  try {
    const input = streams.stdin ? copyInput(response, streams) : endInput(response);
    if (!streams.output) return await input;
    const output = copyOutput(response, streams.tty, streams.onMessage).then(() => "ended" as const);
    // The end of input leaves the output running; detaching does not.
    const detached = input.then((how) => (how === "detached" ? how : output));
    return await Promise.race([output, detached]);
  } finally {
    restore();
    response.connection.close();
  }
}

async function endInput(response: Response): Promise<"ended"> {
  response.connection.shutdownWrite();
  return "ended";
}

/**
 * Copies our stdin to the container. A container that has ended takes no more: that is no error, its output says the
 * rest.
 */
async function copyInput(response: Response, streams: AttachedStreams): Promise<"ended" | "detached"> {
  const keys = parseDetachKeys(streams.detachKeys) ?? DEFAULT_DETACH_KEYS;
  const scanner = streams.tty ? new DetachScanner(keys) : undefined;
  const reader = Bun.stdin.stream().getReader();
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      const { output, detached } = scanner?.push(piece.value) ?? { output: piece.value, detached: false };
      if (output.length > 0) await response.connection.write(output);
      if (detached) return "detached";
    }
    const rest = scanner?.flush() ?? new Uint8Array();
    if (rest.length > 0) await response.connection.write(rest);
    response.connection.shutdownWrite();
  } catch {
    // the connection is gone, or stdin cannot be read (closed by the shell): both count as the end of input
    response.connection.shutdownWrite();
  }
  return "ended";
}

/** Copies a plain body to stdout. */
export function copyPlain(response: Response): Promise<void> {
  return copyOutput(response, true);
}
