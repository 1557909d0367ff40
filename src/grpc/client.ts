/** Calls methods of a peer that serves gRPC on a given connection. */
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { LighterError } from "../base/errors.ts";
import { writeAll } from "../base/writable.ts";
import { frameOf, readMessages } from "./frames.ts";
import { CANCELLED, GrpcError, OK, parseTrailers, type Status, UNAVAILABLE } from "./status.ts";

/** Large enough that a file's bytes need not wait for the acknowledgement of earlier ones. */
const WINDOW_BYTES = 8 * 1024 * 1024;

const LOST = { code: UNAVAILABLE, message: "the peer has gone away", details: [] };

interface CallOptions {
  /** Keys in lower case. */
  metadata?: Readonly<Record<string, string | readonly string[]>>;
  signal?: AbortSignal;
}

export class GrpcClient implements Disposable {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
  }

  /** Makes a client on the connection, on which nothing has been sent yet. */
  static async connect(socket: Duplex): Promise<GrpcClient> {
    const { connect } = await import("node:http2");
    const session = connect("http://localhost", {
      createConnection: () => socket,
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    });
    session.on("error", () => session.destroy()); // calls fail by their streams
    socket.once("close", () => session.destroy());
    return new GrpcClient(session);
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    return new Promise((resolve) => (this.#session.destroyed ? resolve() : this.#session.once("close", resolve)));
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }

  /**
   * Calls the method "/package.Service/Method": sends the requests, and yields the answers.
   * @throws GrpcError if the peer ends the call with another status than OK, or goes away
   */
  async *call(
    path: string,
    requests: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { metadata = {}, signal }: CallOptions = {},
  ): AsyncGenerator<Uint8Array> {
    const stream = this.#open(path, metadata);
    const cancel = () => stream.close(8); // CANCEL
    signal?.addEventListener("abort", cancel);
    const end = statusAtEnd(stream);
    void writeAll(framed(requests), stream).catch((error) => stream.destroy(error));
    try {
      signal?.throwIfAborted();
      yield* readMessages(stream.iterator({ destroyOnReturn: false }));
      const status = await end;
      if (status === undefined) throw new GrpcError(LOST);
      if (status.code !== OK) throw new GrpcError(status);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof GrpcError || error instanceof LighterError) throw error;
      throw new GrpcError(LOST);
    } finally {
      signal?.removeEventListener("abort", cancel);
      if (!stream.closed) cancel();
    }
  }

  /** Calls a method with one request and one answer. */
  async unary(path: string, request: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    for await (const answer of this.call(path, [request], options)) return answer;
    throw new GrpcError({ code: CANCELLED, message: "the call ended without an answer", details: [] });
  }

  #open(path: string, metadata: Readonly<Record<string, string | readonly string[]>>): ClientHttp2Stream {
    if (this.#session.destroyed) throw new GrpcError(LOST);
    return this.#session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...(metadata as Record<string, string | string[]>),
    });
  }
}

/**
 * Resolves with the call's status, which is in the trailers, or in the headers of an answer without messages; undefined if neither
 * has come.
 */
function statusAtEnd(stream: ClientHttp2Stream): Promise<Status | undefined> {
  return new Promise((resolve) => {
    let status: Status | undefined;
    stream.on("response", (headers) => {
      if (headers["grpc-status"] !== undefined) status = parseTrailers(headers);
    });
    stream.on("trailers", (trailers) => {
      status = parseTrailers(trailers);
    });
    stream.on("error", () => {}); // the reader of the messages gets it
    stream.on("close", () => resolve(status));
  });
}

async function* framed(requests: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const request of requests) yield frameOf(request);
}
