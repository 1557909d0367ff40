/** Serves gRPC on a connection that speaks HTTP/2 from its first byte on. */
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { LighterError } from "../base/errors.ts";
import { GRPC_HEADERS_MAX_BYTES, GRPC_MAX_STREAMS } from "../base/limits.ts";
import { timerMs } from "../base/timer.ts";
import { writable } from "../base/writable.ts";
import { frameOf, readMessages } from "./frames.ts";
import { DEADLINE_EXCEEDED, formatTrailers, GrpcError, OK, type Status, statusOf, UNIMPLEMENTED } from "./status.ts";

const WINDOW_BYTES = 1024 * 1024;

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
  const server = await createServer(methods);
  server.emit("connection", socket);
  await new Promise<void>((resolve) => socket.once("close", resolve)); // events.once would reject at an error
}

async function createServer(methods: Methods): Promise<Http2Server> {
  const http2 = await import("node:http2"); // 4 MiB that most daemons never need
  const server = http2.createServer({
    settings: {
      initialWindowSize: WINDOW_BYTES,
      maxConcurrentStreams: GRPC_MAX_STREAMS,
      maxHeaderListSize: GRPC_HEADERS_MAX_BYTES,
    },
  });
  server.on("stream", (stream, headers, _flags, rawHeaders) => {
    void serveCall(stream as ServerHttp2Stream, { headers, rawHeaders }, methods);
  });
  server.on("session", (session) => session.on("error", () => session.destroy())); // bytes that are no HTTP/2
  return server;
}

interface Headers {
  headers: IncomingHttpHeaders;
  rawHeaders: readonly string[];
}

async function serveCall(stream: ServerHttp2Stream, { headers, rawHeaders }: Headers, methods: Methods): Promise<void> {
  const abort = new AbortController();
  stream.on("error", () => abort.abort());
  stream.on("close", () => abort.abort());
  const deadline = startDeadline(headers["grpc-timeout"], abort);
  const answerMetadata: Record<string, string> = {};
  let status: Status = { code: OK, message: "", details: [] };
  try {
    const method = methods.get(String(headers[":path"]));
    if (method === undefined)
      throw new GrpcError({ code: UNIMPLEMENTED, message: `unknown method ${headers[":path"]}`, details: [] });
    const requests = readMessages(stream.iterator({ destroyOnReturn: false }));
    const call = { metadata: metadataOf(rawHeaders), signal: abort.signal, answerMetadata };
    for await (const message of method(requests, call)) {
      abort.signal.throwIfAborted();
      respond(stream, answerMetadata);
      await send(stream, message);
    }
  } catch (error) {
    status = abort.signal.reason instanceof GrpcError ? abort.signal.reason.status : statusOf(error);
  } finally {
    clearTimeout(deadline);
  }
  respond(stream, answerMetadata);
  finish(stream, status);
}

async function send(stream: ServerHttp2Stream, message: Uint8Array): Promise<void> {
  if (!stream.destroyed && !stream.write(frameOf(message))) await writable(stream);
}

function respond(stream: ServerHttp2Stream, metadata: Readonly<Record<string, string>>): void {
  if (stream.headersSent || stream.destroyed) return;
  stream.respond({ ":status": 200, "content-type": "application/grpc", ...metadata }, { waitForTrailers: true });
}

function finish(stream: ServerHttp2Stream, status: Status): void {
  if (stream.destroyed) return;
  stream.once("wantTrailers", () => stream.sendTrailers(formatTrailers(status)));
  stream.end();
  stream.resume(); // requests that nobody reads
}

/** "15S" and the like; the call's end at that time is its deadline's. */
function startDeadline(timeout: string | string[] | undefined, abort: AbortController): NodeJS.Timeout | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(String(timeout ?? "")) ?? [];
  if (digits === undefined) return undefined;
  const unitMs = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }[unit as "H"];
  const status = { code: DEADLINE_EXCEEDED, message: "context deadline exceeded", details: [] };
  return setTimeout(() => abort.abort(new GrpcError(status)), timerMs(Number(digits) * unitMs));
}

/** Node joins values of one key; the raw headers, keys and values by turns, have them apart. */
function metadataOf(rawHeaders: readonly string[]): Metadata {
  const metadata = new Map<string, string[]>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [key, value] = [rawHeaders[at]!, rawHeaders[at + 1]!];
    metadata.set(key, [...(metadata.get(key) ?? []), value]);
  }
  return metadata;
}
