/** The client's side of an attach: raw streams in place of an answer's body. */
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
  /** The client's input. Its end is the end of stdin; the client may still want output. */
  readonly input: Readable;
  /** The output to the client. */
  readonly output: Writable;
  /** The client's connection, if it is a plain one that carries `output` unchanged. */
  readonly socket?: Socket | undefined;
  /**
   * Reads the request's JSON, which comes before the stream; undefined if there is none.
   * @throws LighterError as `readJsonBody`
   */
  readJson(): Promise<unknown>;
  /** Discards the body of a request that should have none, so that it is not taken for stdin. */
  skipBody(): Promise<void>;
  /** Begins the stream unless it has begun. `multiplexed`: the output has Docker's 8-byte headers. */
  open(multiplexed: boolean): void;
  /** Ends the stream after all of `output` has arrived. */
  close(): void;
  /**
   * Answers with an error instead of opening the stream. If it is already open, closes it: there is no place left for the error.
   */
  fail(error: unknown, form?: ErrorForm): void;
  /** Answers without a body instead of opening the stream. */
  finish(): void;
}

/**
 * A client whose connection was taken over: `POST …/attach` with `Upgrade: tcp` gets a 101, an old client without it gets a 200
 * whose body lasts until the connection ends. Each direction closes by itself.
 */
export class HijackedClient implements ClientStream {
  readonly input: Socket;
  readonly output: Socket;
  readonly socket: Socket | undefined;
  readonly #request: IncomingMessage;
  readonly #wantsUpgrade: boolean;
  #isOpen = false;

  /** `head`: the bytes that were read after the request's head. */
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
    // Without an upgrade Docker's content type is the raw stream's, whatever the output is.
    else this.output.write(formatHead(200, "OK", { ...COMMON_HEADERS, "Content-Type": RAW_STREAM }));
  }

  /**
   * Shuts down only this side at first: closing a unix socket with unread input would give the client an ECONNRESET in place of
   * the end. Then it reads for a while, until the client closes, too.
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
 * A client whose request came before the answer to another one, so that its connection cannot be taken over: its stream has to be
 * a well-formed HTTP answer. The body of its request is stdin.
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

  /** Does nothing: for this kind of client a body is stdin. */
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
