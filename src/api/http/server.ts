/** Serves the API on accepted connections. */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSocketServer, type Socket, type Server as SocketServer } from "node:net";
import { LighterError } from "../../base/errors.ts";
import { API_HEAD_MAX_BYTES, API_HEAD_TIMEOUT_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { inSpan, type Span } from "../../base/spans.ts";
import { KEEP_TRACE_HEADER } from "../../spec/trace.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { type ClientStream, HijackedClient, PlainClient } from "../streams/client-stream.ts";
import { takeUpload } from "../streams/upload.ts";
import { isWebSocket, WebSocketClient } from "../streams/websocket.ts";
import { holdBack } from "./back-pressure.ts";
import { refusalOf } from "./doorkeeper.ts";
import { formatRawAnswer, formatRawError, sendError, sendJson } from "./protocol.ts";
import type { Match, Route, Router } from "./router.ts";
import { answerOf } from "./status.ts";
import { asUpgrade, isIncomplete, rewriteRequests } from "./stream-request.ts";

/** The status of a request whose connection became a stream. */
const SWITCHED = 101;

/** Connections that are taken over although their request does not ask for an upgrade. */
const withoutUpgrade = new WeakSet<Socket>();

/** The last request of a connection that is not for a stream. */
const lastRequests = new WeakMap<Socket, { request: IncomingMessage; response: ServerResponse }>();

/** What ends the completing of a connection's requests. */
const rewritings = new WeakMap<Socket, () => void>();

/** The timers that close connections whose request is awaited: the first one, or the rest of one that has begun. */
const headTimers = new WeakMap<Socket, NodeJS.Timeout>();

function awaitHead(socket: Socket, timeoutMs: number): void {
  if (headTimers.has(socket)) return;
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  headTimers.set(socket, timer);
  socket.once("close", () => clearTimeout(timer));
}

function headHasCome(socket: Socket): void {
  clearTimeout(headTimers.get(socket));
  headTimers.delete(socket);
}

interface AcceptorOptions {
  /** The time that a new connection may take to send its first request. */
  headTimeoutMs?: number;
  /** Called for each request of a connection, except those that take it over. */
  onRequest?: () => void;
}

/** A server of the API on a plain socket, not listening yet. */
export function createServer(daemon: Daemon, router: Router, options?: AcceptorOptions): SocketServer {
  return createSocketServer({ allowHalfOpen: true }, createAcceptor(daemon, router, options));
}

/**
 * A function that serves accepted connections, plain or TLS, of any server. It looks at the first request, then hands the
 * connection to node:http.
 */
export function createAcceptor(
  daemon: Daemon,
  router: Router,
  { headTimeoutMs = API_HEAD_TIMEOUT_MS, onRequest }: AcceptorOptions = {},
): (socket: Socket) => void {
  const http = createHttp(daemon, router);
  if (onRequest !== undefined) http.on("request", onRequest);
  return (socket) => {
    socket.on("error", () => socket.destroy()); // the client has gone
    awaitHead(socket, headTimeoutMs);
    const onEnd = () => socket.destroy(); // the client sent nothing
    let first: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      first = Buffer.concat([first, chunk]);
      if (isIncomplete(first)) return;
      socket.off("end", onEnd).off("data", onData);
      if (takeUpload(daemon, socket, first, (method, url) => findRoute(router, method, url))) return;
      socket.pause();
      http.emit("connection", socket);
      completeStreamRequests(router, socket, headTimeoutMs);
      socket.unshift(first);
      socket.resume();
    };
    socket.once("end", onEnd).on("data", onData);
  };
}

/** Makes an upgrade of each request for a stream on a connection of node:http's. */
function completeStreamRequests(router: Router, socket: Socket, headTimeoutMs: number): void {
  const offerOf = (url: string) => {
    const { stream, upgrade } = findRoute(router, "POST", url)?.route ?? {};
    return stream !== undefined ? "stream" : upgrade !== undefined ? "upgrade" : undefined;
  };
  const end = rewriteRequests(socket, {
    isIdle: () => {
      const last = lastRequests.get(socket);
      return last === undefined || (last.request.complete && last.response.writableFinished);
    },
    onIncomplete: () => awaitHead(socket, headTimeoutMs),
    rewrite: (request) => {
      const { bytes, isPlain } = asUpgrade(request, offerOf);
      if (isPlain) withoutUpgrade.add(socket);
      return bytes;
    },
  });
  rewritings.set(socket, end);
}

function findRoute(router: Router, method: string, url: string): Match | undefined {
  try {
    return router.match(method, url);
  } catch {
    return undefined; // the error is reported where the request is answered
  }
}

function createHttp(daemon: Daemon, router: Router): Server {
  const http = createHttpServer({
    maxHeaderSize: API_HEAD_MAX_BYTES,
    // Other upgrades (such as "h2c" of a client that probes) are ignored, as RFC 9110 allows.
    shouldUpgradeCallback: (request: IncomingMessage) => {
      const route = findRoute(router, request.method ?? "", request.url ?? "")?.route;
      return route?.stream !== undefined || route?.upgrade !== undefined;
    },
  } as Parameters<typeof createHttpServer>[0] & object);
  http.requestTimeout = 0; // uploading an image may take any time
  http.timeout = 0;
  http.keepAliveTimeout = 0; // a client that reuses its connection must not find it closed
  http.on("request", (request, response) => {
    headHasCome(request.socket);
    holdBack(request);
    lastRequests.set(request.socket, { request, response });
    void answer(daemon, router, request, response);
  });
  http.on("upgrade", (request, socket, head) => {
    headHasCome(socket as Socket);
    rewritings.get(socket as Socket)?.();
    const upgraded = findRoute(router, request.method ?? "", request.url ?? "");
    if (upgraded?.route.upgrade !== undefined) return void upgrade(daemon, upgraded, request, socket as Socket, head);
    const isUpgrade = !withoutUpgrade.has(socket as Socket);
    const client = isWebSocket(request)
      ? new WebSocketClient(request, socket as Socket, head)
      : new HijackedClient(request, socket as Socket, head, isUpgrade);
    void stream(daemon, router, request, client);
  });
  http.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
    const status = error.code === "HPE_HEADER_OVERFLOW" ? 431 : 400;
    socket.end(formatRawAnswer(status, "text/plain; charset=utf-8", `${error.message}\n`));
  });
  return http;
}

async function answer(
  daemon: Daemon,
  router: Router,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  log.debug(`Calling ${request.method} ${pathOf(request)}`);
  const find = () => findRoute(router, request.method ?? "", request.url ?? "")?.route;
  await observe(daemon, request, find, async () => {
    try {
      const refusal = refusalOf(request, daemon.settings.ownNames);
      if (refusal !== undefined) {
        closeAfter(request, response);
        throw refusal;
      }
      await answerMatched(daemon, router, request, response);
    } catch (error) {
      if (error instanceof LighterError && error.code === "timed-out") closeAfter(request, response);
      sendError(response, error);
    }
    return response.statusCode;
  });
  request.resume(); // a body that nobody reads would block the connection
}

/**
 * Serves a request, counts it when it has been answered, and makes a span of it if somebody collects those. `find` is called then. `serve`
 * resolves with the status.
 */
async function observe(
  daemon: Daemon,
  request: IncomingMessage,
  find: () => Route | undefined,
  serve: () => Promise<number>,
): Promise<void> {
  const { method = "", headers } = request;
  const startMs = performance.now();
  const counted = async (span?: Span) => {
    const code = await serve();
    const path = find()?.path;
    daemon.metrics.observe({ method, path, code, seconds: (performance.now() - startMs) / 1000 });
    if (span === undefined) return;
    span.name = path === undefined ? method : `${method} ${path}`;
    span.set({ "http.request.method": method, "http.route": path, "http.response.status_code": code });
  };
  const {
    traceparent,
    tracestate,
    [KEEP_TRACE_HEADER]: keeps,
  } = headers as Readonly<Record<string, string | undefined>>;
  const isKept = keeps !== undefined;
  if (isKept) (await import("../tracing/tracing.ts")).keepTraces();
  if (isKept || !UNTRACED.test(request.url ?? "")) await inSpan(method, counted, { traceparent, tracestate, isKept });
  else await counted();
}

/** What clients ask to see whether somebody is there. */
const UNTRACED = /^(\/v[\d.]+)?\/_ping$/;

/** Answers a request that may be answered, by its route. */
export async function answerMatched(
  daemon: Daemon,
  router: Router,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const match = router.match(request.method ?? "", request.url ?? "");
  if (match === undefined) sendPageNotFound(response);
  else if (match.route.answer !== undefined) {
    await match.route.answer({ ...match.call, daemon, request, response });
  } else await match.route.stream({ ...match.call, daemon, client: new PlainClient(request, response) });
}

/** Closes the connection after the answer, because the rest of an unread body could not be told from the next request. */
function closeAfter({ socket }: IncomingMessage, response: ServerResponse): void {
  response.setHeader("Connection", "close");
  response.once("finish", () => socket.destroySoon());
}

async function stream(daemon: Daemon, router: Router, request: IncomingMessage, client: ClientStream): Promise<void> {
  log.debug(`Calling ${request.method} ${pathOf(request)}`);
  const find = () => findRoute(router, request.method ?? "", request.url ?? "")?.route;
  await observe(daemon, request, find, async () => {
    try {
      const refusal = refusalOf(request, daemon.settings.ownNames);
      if (refusal !== undefined) throw refusal;
      const match = router.match(request.method ?? "", request.url ?? "");
      if (match?.route.stream !== undefined) await match.route.stream({ ...match.call, daemon, client });
      return SWITCHED;
    } catch (error) {
      client.fail(error);
      return answerOf(error).status;
    }
  });
}

/** Hands over the connection of a request with an Upgrade header that a route of its own serves. */
async function upgrade(
  daemon: Daemon,
  { route, call }: Match,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<void> {
  log.debug(`Calling ${request.method} ${pathOf(request)}`);
  socket.on("error", () => socket.destroy()); // the client has gone
  await observe(
    daemon,
    request,
    () => route,
    async () => {
      try {
        const refusal = refusalOf(request, daemon.settings.ownNames);
        if (refusal !== undefined) throw refusal;
        if (head.length > 0) socket.unshift(head);
        await route.upgrade?.({ ...call, daemon, request, socket });
        return SWITCHED;
      } catch (error) {
        socket.end(formatRawError(error, "json"));
        return answerOf(error).status;
      }
    },
  );
}

/** The path without the query, for the log: a query may hold secrets, such as a source with a password. */
function pathOf({ url = "" }: IncomingMessage): string {
  return url.split("?", 1)[0]!;
}

function sendPageNotFound(response: ServerResponse): void {
  sendJson(response, 404, { message: "page not found" });
}
