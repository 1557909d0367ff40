import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { HIJACK_LINGER_MS } from "../../base/limits.ts";
import { parseJsonBody, readBody } from "../http/body.ts";
import { dechunked } from "../http/chunked.ts";
import {
  COMMON_HEADERS,
  type ErrorForm,
  formatHead,
  formatRawAnswer,
  formatRawError,
  MULTIPLEXED_STREAM,
  RAW_STREAM,
  sendEmpty,
  sendError,
} from "../http/protocol.ts";

/** A client that gets a raw stream of bytes in both directions in place of an answer's body. */
export interface ClientStream {
  /** What the client sends; its end is the end of stdin and says nothing about its wish for output. */
  readonly input: Readable;
  /** What the client gets. */
  readonly output: Writable;
  /** Its connection, if that is a plain one and has `output` as it is. */
  readonly socket?: Socket | undefined;
  /** The request's JSON, which comes before the stream. Undefined: it has none. @throws LighterError as `readJsonBody` */
  readJson(): Promise<unknown>;
  /** For a request that has none: what a client sends as its body all the same is not stdin. */
  skipBody(): Promise<void>;
  /** Begins the stream, if it has not begun. `multiplexed`: output has Docker's 8-byte headers. */
  open(multiplexed: boolean): void;
  /** Ends the stream; what was written to `output` arrives. */
  close(): void;
  /** In place of `open`: an answer that says what is wrong. After it: closes, as there is no place left to say so. */
  fail(error: unknown, form?: ErrorForm): void;
  /** In place of `open`: an answer without a body. */
  finish(): void;
}

/**
 * A client whose connection was taken over: `POST …/attach` with `Upgrade: tcp` gets a 101, an old client without it a 200
 * whose body goes on until the connection ends. Both directions close by themselves.
 */
export class HijackedClient implements ClientStream {
  readonly input: Socket;
  readonly output: Socket;
  readonly socket: Socket | undefined;
  readonly #request: IncomingMessage;
  readonly #wantsUpgrade: boolean;
  #isOpen = false;

  /** `head`: bytes that have been read after the request's head. */
  constructor(request: IncomingMessage, socket: Socket, head: Buffer, wantsUpgrade: boolean) {
    this.#request = request;
    this.#wantsUpgrade = wantsUpgrade;
    this.input = socket;
    this.output = socket;
    this.socket = "encrypted" in socket ? undefined : socket;
    socket.on("error", () => socket.destroy()); // the client has gone
    if (head.length > 0) socket.unshift(head);
  }

  async readJson(): Promise<unknown> {
    return parseJsonBody(await this.#readBody(), this.#request.headers["content-type"]);
  }

  async skipBody(): Promise<void> {
    if (this.#request.headers["transfer-encoding"] === undefined) await this.#readBody();
  }

  async #readBody(): Promise<Buffer> {
    const { headers } = this.#request;
    if (headers["transfer-encoding"] === undefined)
      return await readBody(this.input, { bytes: Number(headers["content-length"] ?? 0) });
    const body = dechunked(this.input);
    try {
      return await readBody(body);
    } finally {
      body.destroy();
    }
  }

  open(multiplexed: boolean): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    const type = { "Content-Type": multiplexed ? MULTIPLEXED_STREAM : RAW_STREAM };
    if (this.#wantsUpgrade)
      this.output.write(
        formatHead(101, "UPGRADED", { ...type, Connection: "Upgrade", Upgrade: "tcp", ...COMMON_HEADERS }),
      );
    // Without an upgrade Docker says raw, whatever it is.
    else this.output.write(formatHead(200, "OK", { ...COMMON_HEADERS, "Content-Type": RAW_STREAM }));
  }

  /**
   * Only our side is shut down at first: closing a unix socket that still has unread input would show the client an
   * ECONNRESET where it waits for the end. So read on until it closes too, for a while.
   */
  close(): void {
    const { input: socket } = this;
    const destroy = () => socket.destroy();
    socket.end(() => {
      if (socket.readableEnded) {
        destroy();
        return;
      }
      const timer = setTimeout(destroy, HIJACK_LINGER_MS);
      socket.once("close", () => clearTimeout(timer));
      socket.once("end", destroy);
    });
    socket.resume();
  }

  fail(error: unknown, form: ErrorForm = "json"): void {
    if (!this.#isOpen) this.output.write(formatRawError(error, form));
    this.close();
  }

  finish(): void {
    this.output.write(formatRawAnswer(200, "text/plain; charset=utf-8", ""));
    this.close();
  }
}

/**
 * A client that asked on a connection which has carried other requests, so that its stream has to be a well-formed
 * answer: HTTP libraries that read output only. What they send as the request's body is stdin.
 */
export class PlainClient implements ClientStream {
  readonly input: IncomingMessage;
  readonly output: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.input = request;
    this.output = response;
    response.on("error", () => response.destroy());
  }

  async readJson(): Promise<unknown> {
    return parseJsonBody(await readBody(this.input), this.input.headers["content-type"]);
  }

  /** Nothing: here a body is all the stdin there can be. */
  async skipBody(): Promise<void> {}

  open(multiplexed: boolean): void {
    if (this.output.headersSent) return;
    this.output.writeHead(200, { ...COMMON_HEADERS, "Content-Type": multiplexed ? MULTIPLEXED_STREAM : RAW_STREAM });
    this.output.flushHeaders();
  }

  close(): void {
    this.output.end();
  }

  fail(error: unknown, form: ErrorForm = "json"): void {
    sendError(this.output, error, form);
  }

  finish(): void {
    sendEmpty(this.output, 200);
  }
}
