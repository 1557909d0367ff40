/** Serves gRPC on a connection that speaks HTTP/2 from its first byte on. */
import type { Duplex } from "node:stream";
import { LighterError } from "../base/errors.ts";
import { timerMs } from "../base/timer.ts";
import { frameOf, readMessages } from "./frames.ts";
import type { Header } from "./hpack.ts";
import { Http2Connection } from "./http2-connection.ts";
import type { Http2Stream } from "./http2-stream.ts";
import { DEADLINE_EXCEEDED, formatTrailers, GrpcError, OK, type Status, statusOf, UNIMPLEMENTED } from "./status.ts";

const WINDOW_BYTES = 1024 * 1024;
const HEADERS: readonly Header[] = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];

/** What a method knows of its call apart from the messages. */
export interface Call {
  /** Metadata of the call, by key in lower case; a key may occur more than once. */
  readonly metadata: Metadata;
  /** Aborts when nobody waits for the answer: cancelled, past its deadline, connection lost. */
  readonly signal: AbortSignal;
  /** What the answer's head is to say, set before its first message. Keys in lower case. */
  readonly answerMetadata: Record<string, string>;
}

export type Metadata = ReadonlyMap<string, readonly string[]>;

/** Answers a call: encoded messages in, encoded messages out. */
export type Method = (requests: AsyncIterable<Uint8Array>, call: Call) => AsyncIterable<Uint8Array>;

/** The methods of a server by path: "/package.Service/Method". */
export type Methods = ReadonlyMap<string, Method>;

/** The halves of a message type that a method needs. */
interface Types<Request, Answer> {
  request: { decode(bytes: Uint8Array): Request };
  answer: { encode(value: Answer): Uint8Array };
}

/** A method with one request and one answer. */
export function unary<Request, Answer>(
  types: Types<Request, Answer>,
  answer: (request: Request, call: Call) => Promise<Answer> | Answer,
): Method {
  return async function* (requests, call) {
    yield types.answer.encode(await answer(types.request.decode(await first(requests)), call));
  };
}

/** A method with one request and any number of answers. */
export function answerStream<Request, Answer>(
  types: Types<Request, Answer>,
  answers: (request: Request, call: Call) => AsyncIterable<Answer>,
): Method {
  return async function* (requests, call) {
    for await (const answer of answers(types.request.decode(await first(requests)), call))
      yield types.answer.encode(answer);
  };
}

async function first(requests: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  for await (const request of requests) return request;
  throw new LighterError("invalid", "the call has no request");
}

/** Serves `methods` on the connection until it closes. */
export async function serveGrpc(socket: Duplex, methods: Methods): Promise<void> {
  const accept = (stream: Http2Stream) => void serveCall(stream, methods);
  await new Http2Connection(socket, { windowBytes: WINDOW_BYTES, accept }).closed;
}

async function serveCall(stream: Http2Stream, methods: Methods): Promise<void> {
  const metadata = metadataOf(stream.heads[0]!);
  const abort = new AbortController();
  void stream.closed.then(() => abort.abort());
  const deadline = startDeadline(metadata.get("grpc-timeout")?.[0], abort);
  const answerMetadata: Record<string, string> = {};
  let hasBegun = false;
  const begin = () => {
    if (!hasBegun) stream.sendHeaders([...HEADERS, ...Object.entries(answerMetadata)]);
    hasBegun = true;
  };
  let status: Status = { code: OK, message: "", details: [] };
  try {
    const path = metadata.get(":path")?.[0] ?? "";
    const method = methods.get(path);
    if (method === undefined)
      throw new GrpcError({ code: UNIMPLEMENTED, message: `unknown method ${path}`, details: [] });
    for await (const message of method(requestsOf(stream), { metadata, signal: abort.signal, answerMetadata })) {
      abort.signal.throwIfAborted();
      begin();
      await stream.send(frameOf(message));
    }
  } catch (error) {
    status = abort.signal.reason instanceof GrpcError ? abort.signal.reason.status : statusOf(error);
  } finally {
    clearTimeout(deadline);
  }
  begin();
  stream.end(formatTrailers(status));
}

async function* requestsOf(stream: Http2Stream): AsyncGenerator<Uint8Array> {
  for await (const requests of readMessages(stream.received())) yield* requests;
}

/** "15S" and the like; the call's end at that time is its deadline's. */
function startDeadline(timeout: string | undefined, abort: AbortController): NodeJS.Timeout | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(timeout ?? "") ?? [];
  if (digits === undefined) return undefined;
  const unitMs = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }[unit as "H"];
  const status = { code: DEADLINE_EXCEEDED, message: "context deadline exceeded", details: [] };
  return setTimeout(() => abort.abort(new GrpcError(status)), timerMs(Number(digits) * unitMs));
}

function metadataOf(headers: readonly Header[]): Metadata {
  const metadata = new Map<string, string[]>();
  for (const [key, value] of headers) metadata.set(key, [...(metadata.get(key) ?? []), value]);
  return metadata;
}
