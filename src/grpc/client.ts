/** Calls methods of a peer that serves gRPC on a given connection. */
import type { Duplex } from "node:stream";
import { LighterError } from "../base/errors.ts";
import { frameOf, readMessages } from "./frames.ts";
import type { Header } from "./hpack.ts";
import { Http2Connection } from "./http2-connection.ts";
import { RESET } from "./http2-frames.ts";
import type { Http2Stream } from "./http2-stream.ts";
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
  readonly #connection: Http2Connection;

  /** Makes a client on the connection, on which nothing has been sent yet. */
  constructor(socket: Duplex) {
    this.#connection = new Http2Connection(socket, { windowBytes: WINDOW_BYTES });
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    return this.#connection.closed;
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }

  /**
   * Calls the method "/package.Service/Method": sends the requests, and yields the answers, those together that have come together.
   * @throws GrpcError if the peer ends the call with another status than OK, or goes away
   */
  async *callInBatches(
    path: string,
    requests: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { metadata = {}, signal }: CallOptions = {},
  ): AsyncGenerator<readonly Uint8Array[]> {
    signal?.throwIfAborted();
    if (this.#connection.isClosed) throw new GrpcError(LOST);
    const stream = this.#connection.open(headersOf(path, metadata));
    const cancel = () => stream.reset();
    signal?.addEventListener("abort", cancel);
    void sendAll(requests, stream);
    try {
      yield* readMessages(stream.received());
      const status = statusOf(stream);
      if (status === undefined) throw new GrpcError(LOST);
      if (status.code !== OK) throw new GrpcError(status);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof GrpcError || error instanceof LighterError) throw error;
      throw new GrpcError(LOST);
    } finally {
      signal?.removeEventListener("abort", cancel);
      cancel();
    }
  }

  /** Calls a method, and yields its answers one after another. @throws as `callInBatches` */
  async *call(...call: Parameters<GrpcClient["callInBatches"]>): AsyncGenerator<Uint8Array> {
    for await (const answers of this.callInBatches(...call)) yield* answers;
  }

  /** Calls a method with one request and one answer. */
  async unary(path: string, request: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    for await (const answer of this.call(path, [request], options)) return answer;
    throw new GrpcError({ code: CANCELLED, message: "the call ended without an answer", details: [] });
  }
}

function headersOf(path: string, metadata: Readonly<Record<string, string | readonly string[]>>): Header[] {
  return [
    ...([
      [":method", "POST"],
      [":scheme", "http"],
      [":path", path],
      [":authority", "localhost"],
      ["content-type", "application/grpc"],
      ["te", "trailers"],
    ] as const),
    ...Object.entries(metadata).flatMap(([key, values]) => [values].flat().map((value): Header => [key, value])),
  ];
}

async function sendAll(requests: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, stream: Http2Stream): Promise<void> {
  try {
    for await (const request of requests) {
      if (stream.isClosed) return;
      await stream.send(frameOf(request));
    }
    stream.end();
  } catch (error) {
    stream.reset(RESET.internal, error as Error); // whoever reads the answers gets it
  }
}

/**
 * The call's status, which is in the trailers, or in the headers of an answer without messages; undefined if neither has come.
 */
function statusOf({ heads }: Http2Stream): Status | undefined {
  const last = heads.findLast((head) => head.some(([name]) => name === "grpc-status"));
  return last && parseTrailers(last);
}
