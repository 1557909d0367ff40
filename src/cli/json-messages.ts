import { LighterError } from "../base/errors.ts";
import { JSON_MESSAGE_MAX_BYTES } from "../base/limits.ts";
import { parseJson } from "./client.ts";
import type { Response } from "./http.ts";

/** One message of a progress stream (load, pull). */
export interface JsonMessage {
  readonly stream?: string;
  readonly status?: string;
  readonly id?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly errorDetail?: { readonly message?: string };
  readonly error?: string;
}

/** The JSON documents of a body, one a line, as they come. @throws LighterError for what is not JSON */
export async function* readJsonMessages(response: Response): AsyncGenerator<JsonMessage> {
  const decoder = new TextDecoder();
  let pending = "";
  for (let piece = await response.read(); piece !== undefined; piece = await response.read()) {
    pending += decoder.decode(piece, { stream: true });
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    if (pending.length > JSON_MESSAGE_MAX_BYTES)
      throw new LighterError("unavailable", "read the daemon's answer: a message is too long");
    for (const line of lines) if (line.trim() !== "") yield parseJson<JsonMessage>(line);
  }
  if (pending.trim() !== "") yield parseJson<JsonMessage>(pending);
}

/**
 * Prints a progress stream the way it reads best in a file: every change of status a line, no progress bars.
 * @throws Error with the daemon's message if the stream ends in one
 */
export async function printJsonMessages(
  response: Response,
  print: (text: string) => Promise<void> | undefined,
): Promise<void> {
  for await (const message of readJsonMessages(response)) {
    const failure = message.errorDetail?.message ?? message.error;
    if (failure !== undefined) throw new Error(failure);
    if (message.progressDetail?.current !== undefined) continue;
    if (message.stream !== undefined) await print(message.stream);
    else if (message.status !== undefined)
      await print(`${message.id === undefined ? "" : `${message.id}: `}${message.status}\n`);
  }
}
