/** Streams of JSON messages about the progress of a long request. */
import type { ServerResponse } from "node:http";
import type { LighterError } from "../../base/errors.ts";
import { COMMON_HEADERS } from "../http/protocol.ts";
import { answerOf } from "../http/status.ts";

/**
 * Docker's stream of JSON messages. The head is sent with the first message: until then a failure is an answer of its own, with
 * its status; later it is the last message.
 */
export class ProgressStream {
  readonly #response: ServerResponse;
  readonly #aborter = new AbortController();
  #isLost = false;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.once("close", () => {
      if (response.writableFinished) return;
      this.#isLost = true;
      this.#aborter.abort(new Error("the client has gone"));
    });
  }

  /** A signal that is aborted if the client goes before the end, and by `cancel`. */
  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** Aborts what the stream tells of; how that ends is told. */
  cancel(reason: LighterError): void {
    this.#aborter.abort(reason);
  }

  send(message: object): void {
    if (this.#response.destroyed) return;
    if (!this.#response.headersSent)
      this.#response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": "application/json" });
    this.#response.write(encode(message));
  }

  /**
   * Runs `work`, which sends messages, then ends the stream.
   * @throws what `work` throws if nothing has been sent, unless `tellsAll` is set: then a failure is always a message.
   */
  async carry(work: () => Promise<void>, { tellsAll = false } = {}): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (this.#isLost) return;
      if (!this.#response.headersSent && !tellsAll) throw error;
      this.send(failureOf(error));
    }
    this.#response.end();
  }
}

function encode(message: object): string {
  return `${JSON.stringify(message)}\r\n`;
}

export function failureOf(error: unknown): object {
  const { message } = answerOf(error);
  return { errorDetail: { message }, error: message };
}

/** All messages as a single answer. */
export function progressAnswer(messages: readonly object[]): { contentType: string; text: string } {
  return { contentType: "application/json", text: messages.map(encode).join("") };
}
