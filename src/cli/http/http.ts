/**
 * A small HTTP/1.1 client over one socket. It is our own because the command line is started often: importing node:http
 * takes longer than a whole `run`, and only a bare socket gives hijacked streams with half-close.
 */
import { utf8 } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";
import { HTTP_BODY_MAX_BYTES, HTTP_QUEUE_MAX_BYTES } from "../../base/limits.ts";
import type { FileRange } from "../../spec/file-range.ts";
import { connect } from "./connect.ts";
import type { FileOffer } from "./file-offer.ts";
import { type ResponseHead, ResponseParser } from "./http-parser.ts";
import type { Address, Transport } from "./transport.ts";

export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "DELETE" | "HEAD";
  /** Path with the query, already encoded. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON body, sent with its length. */
  readonly json?: string;
  /** Body sent in chunks. */
  readonly stream?: RequestStream;
  /** Asks for a raw byte stream in both directions in place of a body. */
  readonly upgrade?: boolean;
}

interface RequestStream {
  readonly contentType: string;
  /** Ranges of files are among the chunks only if `offer` is taken. */
  readonly chunks: AsyncIterable<Uint8Array | FileRange>;
  readonly offer?: FileOffer;
}

interface Exchange {
  readonly parser: ResponseParser;
  readonly fail: (error: unknown) => void;
}

/** The connection ended before a single byte of the answer: the server may have closed it while it was idle. */
export class ConnectionDropped extends LighterError {
  constructor() {
    super("unavailable", "the daemon closed the connection");
  }
}

/** A descriptor did not arrive with its place in an answer, which must be asked for in the usual way. */
export class DescriptorLost extends Error {}

/** One connection, which serves one request at a time. */
export class Connection {
  #socket: Transport | undefined;
  #exchange: Exchange | undefined;
  #closed = false;
  /** The error that closed the connection. */
  #error: unknown;
  /** Bytes that the kernel has not accepted yet. */
  #unsent: Uint8Array[] = [];
  #sentWaiters: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  /**
   * Opens a connection.
   * @throws what the socket says: `code` "ENOENT", "ECONNREFUSED", …
   */
  static async open(address: Address, { isUpload = false } = {}): Promise<Connection> {
    const connection = new Connection();
    const events = {
      data: (bytes: Uint8Array) => connection.#receive(bytes),
      drain: () => connection.#send(),
      // The peer sends nothing more. A request body may still be unfinished, but nobody would answer it.
      end: () => connection.#end(),
      error: (error: Error) => connection.#fail(error),
    };
    connection.#socket = await connect(address, events, isUpload);
    return connection;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Ends both directions; pending reads and writes fail. */
  close(): void {
    this.#fail(new ConnectionDropped());
  }

  /** Sends a request. Settles with the response's head; its body is then read from the Response. */
  async request(request: Request): Promise<Response> {
    if (this.#closed) throw this.#error; // otherwise nobody would hear how the request ended
    const response = new Response(this);
    const head = new Promise<ResponseHead>((resolve, reject) => {
      const parser = new ResponseParser(
        {
          head: (head) => {
            request.stream?.offer?.end();
            resolve(head);
          },
          interim: (status) => request.stream?.offer?.receive(status),
          body: (bytes) => response.receive(bytes),
          end: () => this.#finish(response),
        },
        request.upgrade === true,
        request.method !== "HEAD",
      );
      const fail = (error: unknown) => {
        request.stream?.offer?.end();
        reject(error);
        response.fail(error);
      };
      this.#exchange = { parser, fail };
    });
    const sent = this.#sendRequest(request);
    // An error of the stream's source must not leave the daemon waiting for the rest. A broken pipe has ended the
    // connection already: a refused upload is answered before it is complete, and then the answer counts.
    sent.catch((error: unknown) => this.#fail(error));
    response.head = await head;
    return response;
  }

  async #sendRequest(request: Request): Promise<void> {
    let head = `${request.method} ${request.path} HTTP/1.1\r\nHost: lighter\r\n`;
    for (const [name, value] of Object.entries(request.headers ?? {})) head += `${name}: ${value}\r\n`;
    if (request.upgrade === true) head += "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    if (request.stream !== undefined) {
      head += `Content-Type: ${request.stream.contentType}\r\nTransfer-Encoding: chunked\r\n\r\n`;
      await this.#sendStream(head, request.stream);
      return;
    }
    if (request.json !== undefined) {
      const body = utf8(request.json);
      head += `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
      await this.write(Buffer.concat([utf8(head), body]));
      return;
    }
    await this.write(utf8(`${head}${request.method === "POST" ? "Content-Length: 0\r\n" : ""}\r\n`));
  }

  async #sendStream(head: string, { chunks, offer }: RequestStream): Promise<void> {
    const unixFd = this.#socket?.unixFd ?? -1;
    const sent = this.write(utf8(head));
    if (offer !== undefined) {
      await sent;
      await offer.settle(unixFd);
    } else sent.catch(() => {}); // a write that fails here fails below too
    for await (const chunk of chunks) {
      if ("fd" in chunk) {
        if (!(await offer?.send(unixFd, chunk))) break; // the answer is there before the body's end
      } else if (chunk.length > 0) {
        this.write(utf8(`${chunk.length.toString(16)}\r\n`)).catch(() => {}); // as above
        this.write(chunk).catch(() => {}); // as above
        await this.write(utf8("\r\n"));
      }
    }
    await this.write(utf8("0\r\n\r\n"));
  }

  /** Settles when the kernel has the bytes, which the caller must not change before that. */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) return Promise.reject(new ConnectionDropped());
    this.#unsent.push(bytes);
    if (this.#unsent.length === 1) this.#send();
    if (this.#closed) return Promise.reject(this.#error); // the peer has gone: nobody settles later waiters
    if (this.#unsent.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => this.#sentWaiters.push({ resolve, reject }));
  }

  /** Ends our direction only: the peer reads end-of-file. Earlier writes must have settled. */
  shutdownWrite(): void {
    if (!this.#closed) this.#socket?.shutdown();
  }

  /** Pauses reading from the socket, for back-pressure, while the reader of a Response's body is slow. */
  setPaused(paused: boolean): void {
    if (this.#closed) return;
    if (paused) this.#socket?.pause();
    else this.#socket?.resume();
  }

  #send(): void {
    while (this.#unsent.length > 0) {
      const next = this.#unsent[0] ?? new Uint8Array(0);
      const count = this.#socket?.write(next) ?? -1;
      if (count < 0) {
        this.#fail(new ConnectionDropped());
        return;
      }
      if (count < next.length) {
        this.#unsent[0] = next.subarray(count);
        return;
      }
      this.#unsent.shift();
    }
    for (const waiter of this.#sentWaiters.splice(0)) waiter.resolve();
  }

  #receive(bytes: Uint8Array): void {
    try {
      if (this.#exchange === undefined) throw new ConnectionDropped(); // these bytes answer no request
      this.#exchange.parser.push(bytes);
    } catch (error) {
      this.#fail(error);
    }
  }

  #finish(response: Response): void {
    this.#exchange = undefined;
    response.end();
  }

  /** Handles the end of the peer's stream. */
  #end(): void {
    if (this.#closed) return;
    try {
      if (this.#exchange?.parser.started === false) throw new ConnectionDropped();
      this.#exchange?.parser.close();
      this.close();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    this.#exchange?.fail(error);
    this.#exchange = undefined;
    for (const waiter of this.#sentWaiters.splice(0)) waiter.reject(error);
    this.#socket?.end();
  }
}

/** A response whose body is read piece by piece; the socket pauses while more than a limit waits to be read. */
export class Response {
  head: ResponseHead = { status: 0, headers: new Map(), raw: false };
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #ended = false;
  #error: { error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #onEnd: (() => void) | undefined;

  constructor(readonly connection: Connection) {}

  get status(): number {
    return this.head.status;
  }

  /** Registers a callback for when the whole body has arrived and the connection is free. */
  onEnd(callback: () => void): void {
    if (this.#ended) callback();
    else this.#onEnd = callback;
  }

  receive(bytes: Uint8Array): void {
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > HTTP_QUEUE_MAX_BYTES) this.connection.setPaused(true);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
    this.#onEnd?.();
  }

  fail(error: unknown): void {
    this.#error = { error };
    this.#wake?.();
  }

  /**
   * Returns the next piece, or undefined at the end.
   * @throws the error that broke the connection
   */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const piece = this.#queue.shift();
      if (piece !== undefined) {
        const wasFull = this.#queuedBytes > HTTP_QUEUE_MAX_BYTES;
        this.#queuedBytes -= piece.length;
        if (wasFull && this.#queuedBytes <= HTTP_QUEUE_MAX_BYTES) this.connection.setPaused(false);
        return piece;
      }
      if (this.#ended) return undefined;
      if (this.#error !== undefined) throw this.#error.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for (let piece = await this.read(); piece !== undefined; piece = await this.read()) yield piece;
  }

  /**
   * Returns the whole body as text.
   * @throws LighterError ("unavailable") beyond a limit
   */
  async text(): Promise<string> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    for (let piece = await this.read(); piece !== undefined; piece = await this.read()) {
      size += piece.length;
      if (size > HTTP_BODY_MAX_BYTES)
        throw new LighterError("unavailable", `read the daemon's answer: longer than ${HTTP_BODY_MAX_BYTES} bytes`);
      pieces.push(piece);
    }
    return pieces.length === 1 ? Buffer.from(pieces[0] ?? []).toString() : Buffer.concat(pieces).toString();
  }
}
