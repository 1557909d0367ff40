/** Reads and shows the progress streams of the Engine API: pull, push, load, import. */
import { parseJson } from "../http/client.ts";
import type { Response } from "../http/http.ts";
import type { OutputStream } from "../output.ts";
import { escapeControls } from "./harmless.ts";
import { JsonSplitter } from "./json-splitter.ts";
import { type JsonMessage, ProgressDisplay, parseJsonMessage } from "./progress.ts";

/**
 * Yields the objects of a body as they arrive, as JSON text.
 * @throws LighterError ("unavailable") for what is not JSON
 */
export async function* readJsonValues(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const splitter = new JsonSplitter();
  for (let piece = await response.read(); piece !== undefined; piece = await response.read())
    yield* splitter.push(decoder.decode(piece, { stream: true }));
  splitter.end();
}

/**
 * Yields the messages of a body as they arrive.
 * @throws LighterError ("unavailable") for what is not a message
 */
async function* readJsonMessages(response: Response): AsyncGenerator<JsonMessage> {
  for await (const value of readJsonValues(response)) yield parseJsonMessage(parseJson(value));
}

/**
 * Shows a progress stream on `output`, whose fd is `fd`: bars on a terminal, else a line for every change of status.
 * Without `output` the stream is only read for its error.
 * @throws Error with the daemon's message if the stream ends in one
 */
export async function showProgress(response: Response, output?: { stream: OutputStream; fd: number }): Promise<void> {
  const columns = output === undefined ? undefined : await terminalColumns(output.fd);
  const display = new ProgressDisplay(columns);
  for await (const message of readJsonMessages(response)) {
    const { text, failure } = display.show(columns === undefined ? message : withoutControls(message));
    if (text !== "") await output?.stream.control(text);
    if (failure !== undefined) throw new Error(failure);
  }
}

/** Escapes control characters in a message: only the display may move the cursor. */
function withoutControls(message: JsonMessage): JsonMessage {
  const { stream, status, id, from, drawn } = message;
  const texts = Object.entries({ stream, status, id, from, drawn });
  return { ...message, ...Object.fromEntries(texts.map(([key, text]) => [key, escapeControls(text)])) };
}

/** Returns a function that reads the terminal's width; it is called for every bar, so that bars follow a resize. */
async function terminalColumns(fd: number): Promise<(() => number) | undefined> {
  const { isTerminal, readWindowSize } = await import("../../linux/sys/tty.ts");
  return isTerminal(fd) ? () => readWindowSize(fd)?.columns ?? 0 : undefined;
}
