/**
 * GET /containers/{id}/attach/ws: a container's streams over a websocket, which browsers can open.
 *
 * As with Docker, each piece of output is a message: binary from API 1.28 on, text before. Output and errors are one stream,
 * without Docker's framing. The client's messages, of any length, are stdin.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { LighterError } from "../../base/errors.ts";
import { HIJACK_LINGER_MS, WEBSOCKET_MESSAGE_MAX_BYTES } from "../../base/limits.ts";
import { FrameReader } from "../../engine/mod.ts";
import { serveAttach } from "../containers/attach.ts";
import { formatRawError } from "../http/protocol.ts";
import type { StreamCall } from "../http/router.ts";
import type { ClientStream } from "./client-stream.ts";

const BINARY_SINCE = 28;
const SELECTABLE_SINCE = 42;

const CLOSE_NORMAL = 1000;

const acceptor = new WebSocketServer({ noServer: true, maxPayload: WEBSOCKET_MESSAGE_MAX_BYTES });

export function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === "websocket";
}

/** A client that has asked for a websocket. A websocket has no half-closed state: closing it ends both directions. */
export class WebSocketClient implements ClientStream {
  readonly input = new PassThrough();
  readonly output: Writable;
  /** Whether output is sent in binary messages. */
  isBinary = true;
  #webSocket: WebSocket | undefined;
  #frames: FrameReader | undefined;

  /** `head`: the bytes that were read after the request's head. */
  constructor(
    private readonly request: IncomingMessage,
    private readonly connection: Socket,
    private readonly head: Buffer,
  ) {
    this.output = new Writable({ write: (chunk: Buffer, _encoding, done) => this.#send(chunk, done) });
    connection.on("error", () => connection.destroy());
    connection.on("close", this.#closed);
  }

  #send(chunk: Buffer, done: () => void): void {
    const payload = this.#frames === undefined ? chunk : this.#frames.push(chunk);
    if (payload.length === 0 || this.#webSocket === undefined) done();
    else this.#webSocket.send(payload, { binary: this.isBinary }, () => done());
  }

  readonly #closed = () => {
    this.input.end();
    this.output.destroy();
  };

  /** Does nothing: a websocket is requested by GET, which has no body. */
  async skipBody(): Promise<void> {}

  readJson(): Promise<unknown> {
    return Promise.resolve({}); // a GET request has no body
  }

  /** Begins the stream. `multiplexed`: Docker's headers are removed from what is written. */
  open(multiplexed: boolean): void {
    if (this.#webSocket !== undefined) return;
    const { headers } = this.request;
    if (headers["sec-websocket-key"] === undefined || headers["sec-websocket-version"] !== "13")
      throw new LighterError(
        "invalid",
        "a websocket needs the headers Sec-WebSocket-Key and Sec-WebSocket-Version: 13",
      );
    if (multiplexed) this.#frames = new FrameReader();
    acceptor.handleUpgrade(this.request, this.connection, this.head, (webSocket) => {
      this.#webSocket = webSocket;
      this.input.on("drain", () => webSocket.resume());
      webSocket.on("message", (message) => {
        if (!this.input.write(message)) webSocket.pause();
      });
      webSocket.on("error", () => {}); // the websocket then closes and tells the client why
      this.connection.off("close", this.#closed); // this event may come before the last messages
      webSocket.on("close", this.#closed);
    });
  }

  /** Closes the websocket, without waiting for a client that does not close its side. */
  close(): void {
    const [webSocket, connection] = [this.#webSocket, this.connection];
    if (this.output.destroyed) return; // the client has closed
    this.output.end(() => {
      if (webSocket === undefined) return void connection.end(() => connection.destroy());
      const timer = setTimeout(() => webSocket.terminate(), HIJACK_LINGER_MS);
      webSocket.on("close", () => clearTimeout(timer));
      webSocket.close(CLOSE_NORMAL);
    });
  }

  fail(error: unknown): void {
    if (this.#webSocket === undefined) this.connection.write(formatRawError(error, "json"));
    this.close();
  }

  finish(): void {
    this.close();
  }
}

/** GET /containers/{id}/attach/ws */
export async function attachWebSocket(call: StreamCall): Promise<void> {
  const { daemon, query, client, apiMinor } = call;
  daemon.engine.find(call.parameter("id")); // a missing container is reported as such, not as a missing upgrade
  if (!(client instanceof WebSocketClient)) throw new LighterError("invalid", "the client must ask for a websocket");
  client.isBinary = apiMinor >= BINARY_SINCE;
  const asked = (name: string) => apiMinor < SELECTABLE_SINCE || query.boolean(name);
  await serveAttach(call, asked, (tty) => client.open(!tty));
}
