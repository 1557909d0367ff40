/** The progress streams of the Engine API: pull, push, load, import. */
import { parseJson } from "../http/client.ts";
import type { Response } from "../http/http.ts";
import type { OutputStream } from "../output.ts";
import { escapeControls } from "./harmless.ts";
import { JsonSplitter } from "./json-splitter.ts";
import { type JsonMessage, ProgressDisplay, parseJsonMessage } from "./progress.ts";

/** The objects of a body as they come, as JSON text. @throws LighterError ("unavailable") for what is none */
export async function* readJsonValues(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const splitter = new JsonSplitter();
  for (let piece = await response.read(); piece !== undefined; piece = await response.read())
    yield* splitter.push(decoder.decode(piece, { stream: true }));
  splitter.end();
}

/** The messages of a body as they come. @throws LighterError ("unavailable") for what is none */
async function* readJsonMessages(response: Response): AsyncGenerator<JsonMessage> {
  for await (const value of readJsonValues(response)) yield parseJsonMessage(parseJson(value));
}

/**
 * Shows a progress stream on `output`, whose fd is `fd`: bars on a terminal, else a line for every change of status.
 * Without `output` the stream is read for its error alone.
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

/** What is left to move the cursor is the display's. */
function withoutControls(message: JsonMessage): JsonMessage {
  const { stream, status, id, from, drawn } = message;
  const texts = Object.entries({ stream, status, id, from, drawn });
  return { ...message, ...Object.fromEntries(texts.map(([key, text]) => [key, escapeControls(text)])) };
}

/** Asked again for every bar, so that these follow a resize. */
async function terminalColumns(fd: number): Promise<(() => number) | undefined> {
  const { isTerminal, readWindowSize } = await import("../../linux/sys/tty.ts");
  return isTerminal(fd) ? () => readWindowSize(fd)?.columns ?? 0 : undefined;
}
