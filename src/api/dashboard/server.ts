/**
 * The dashboard's own server on loopback: the page, the exchange of links for sessions, and behind these the routes of the API that
 * the page needs. It exists from the first `lighter dashboard` until nobody has looked for an hour.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { LighterError } from "../../base/errors.ts";
import { API_HEAD_MAX_BYTES, DASHBOARD_CONNECTIONS_MAX, DASHBOARD_IDLE_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { startExec } from "../containers/exec.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { readJsonBody } from "../http/body.ts";
import { formatRawAnswer, sendError, sendJson } from "../http/protocol.ts";
import type { Router, StreamCall } from "../http/router.ts";
import { answerMatched } from "../http/server.ts";
import { attachWebSocket, isWebSocket, WebSocketClient } from "../streams/websocket.ts";
import { permissionFor } from "./allowed.ts";
import { cookieIn, KEY_HEADER, keyInSubprotocols, refusalAtDoor, refusalOfCall, SAFE_HEADERS } from "./door.ts";
import { Measurements } from "./measurements.ts";
import { sendPage } from "./page-files.ts";
import { type Session, Sessions } from "./sessions.ts";
import { Watcher } from "./watcher.ts";

/** What the page's requests for the API begin with. */
const API_PREFIX = "/api";

/** When a dashboard ends that nobody looks at, and how often that is looked at. */
interface IdleTimes {
  afterMs: number;
  checkMs: number;
}
const IDLE: IdleTimes = { afterMs: DASHBOARD_IDLE_MS, checkMs: 60_000 };

export class DashboardServer {
  readonly #daemon: Daemon;
  readonly #router: Router;
  readonly #sessions = new Sessions();
  readonly #measurements: Measurements;
  readonly #server: Server;
  readonly #watchers = new Set<Watcher>();
  readonly #sockets = new Set<Socket>();
  readonly #onClosed: () => void;
  readonly #idle: IdleTimes;
  #idleTimer: NodeJS.Timeout | undefined;
  #lastMs = performance.now();

  private constructor(daemon: Daemon, router: Router, onClosed: () => void, idle: IdleTimes) {
    this.#idle = idle;
    this.#daemon = daemon;
    this.#router = router;
    this.#onClosed = onClosed;
    this.#measurements = new Measurements(daemon);
    this.#server = createServer({
      maxHeaderSize: API_HEAD_MAX_BYTES,
      shouldUpgradeCallback: isWebSocket,
    } as Parameters<typeof createServer>[0] & object);
    this.#server.maxConnections = DASHBOARD_CONNECTIONS_MAX;
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#server.on("request", (request, response) => void this.#answer(request, response));
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket as Socket, head));
  }

  /** Begins to listen on a random port. `onClosed` is called when the server has ended by itself. */
  static async start(daemon: Daemon, router: Router, onClosed: () => void, idle = IDLE): Promise<DashboardServer> {
    const dashboard = new DashboardServer(daemon, router, onClosed, idle);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    dashboard.#server.once("error", reject).listen(0, "127.0.0.1", resolve);
    await promise;
    dashboard.#idleTimer = setInterval(() => dashboard.#endIfIdle(), idle.checkMs).unref();
    log.info(`dashboard: listening on 127.0.0.1:${dashboard.port}`);
    return dashboard;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Makes an address that opens the dashboard once. The token is in the fragment, which browsers send nowhere. */
  createLink(session: Session): string {
    this.#touch();
    return `http://127.0.0.1:${this.port}/#token=${this.#sessions.createLink(session)}`;
  }

  close(): void {
    clearInterval(this.#idleTimer);
    for (const watcher of this.#watchers) watcher.close();
    this.#measurements[Symbol.dispose]();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    log.info("dashboard: ended");
    this.#onClosed();
  }

  #touch(): void {
    this.#lastMs = performance.now();
  }

  #endIfIdle(): void {
    if (this.#watchers.size > 0) this.#touch();
    else if (performance.now() - this.#lastMs > this.#idle.afterMs) this.close();
  }

  get #cookieName(): string {
    return `lighter-${this.port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(SAFE_HEADERS)) response.setHeader(name, value);
    try {
      const refusal = refusalAtDoor(request.headers, this.port);
      if (refusal !== undefined) throw new LighterError("forbidden", refusal);
      const path = pathOf(request);
      if (path === "/session") await this.#answerSession(request, response);
      else if (path.startsWith(`${API_PREFIX}/`)) await this.#answerCall(request, response, path);
      else sendPage(request, response, path);
    } catch (error) {
      sendError(response, error);
    } finally {
      request.resume(); // a body that nobody reads would block the connection
    }
  }

  /** POST /session: a link's token becomes a cookie and a key. GET: whether they are good, and what for. */
  async #answerSession(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === "GET") return sendJson(response, 200, this.#authenticate(request));
    if (request.method !== "POST") throw new LighterError("invalid", "a session is begun by POST");
    refuse(refusalOfCall(request.headers, true));
    const { token } = (await readJsonBody(request)) as { token?: unknown };
    const made = typeof token === "string" ? this.#sessions.exchange(token) : undefined;
    if (made === undefined) throw new LighterError("forbidden", "this link was used before, or is too old");
    this.#touch();
    response.setHeader("Set-Cookie", `${this.#cookieName}=${made.cookie}; HttpOnly; SameSite=Strict; Path=/`);
    sendJson(response, 200, { key: made.key, ...made.session });
  }

  async #answerCall(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const session = this.#authenticate(request);
    const method = request.method ?? "";
    const permission = permissionFor(method, (request.url ?? "").slice(API_PREFIX.length));
    if (permission === "none") throw new LighterError("forbidden", `the dashboard makes no request ${method} ${path}`);
    if (permission === "change" && session.readOnly)
      throw new LighterError("forbidden", "this dashboard is read-only: nothing can be changed here");
    request.url = (request.url ?? "").slice(API_PREFIX.length);
    await answerMatched(this.#daemon, this.#router, request, response);
  }

  /** The session of a request whose cookie and key belong together. @throws LighterError "forbidden" */
  #authenticate({ headers, method }: IncomingMessage, key = String(headers[KEY_HEADER] ?? "")): Session {
    refuse(refusalOfCall(headers, method !== "GET" && method !== "HEAD"));
    const session = this.#sessions.find({ cookie: cookieIn(headers, this.#cookieName), key });
    if (session === undefined) throw new LighterError("forbidden", 'no session: "lighter dashboard" prints a new link');
    this.#touch();
    return session;
  }

  /** Serves the page's websockets: /lighter/watch, the terminal of an exec, the console of a machine. */
  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on("error", () => socket.destroy()); // the client has gone
    try {
      refuse(refusalAtDoor(request.headers, this.port));
      if (request.headers.origin === undefined)
        throw new LighterError("forbidden", "a websocket needs the header Origin");
      const session = this.#authenticate(request, keyInSubprotocols(request.headers));
      const path = pathOf(request);
      const [, kind = "", id = ""] = /^\/(terminal|console)\/([0-9a-f]{64})$/.exec(path) ?? [];
      if (path === "/lighter/watch") this.#watch(request, socket, head);
      else if (id !== "" && !session.readOnly)
        this.#openTerminal(kind === "console" ? consoleOf(id) : shellOf(id), request, socket, head);
      else
        throw new LighterError(
          "forbidden",
          `no websocket is served at ${path}${session.readOnly ? " to readers" : ""}`,
        );
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      socket.end(formatRawAnswer(403, "text/plain; charset=utf-8", `${STATUS_CODES[403]}: ${message}\n`));
    }
  }

  #watch(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const watcher = new Watcher(this.#daemon, this.#measurements, () => {
      this.#watchers.delete(watcher);
      this.#touch();
    });
    this.#watchers.add(watcher);
    watcher.accept(request, socket, head);
  }

  #openTerminal({ method, path, serve }: Terminal, request: IncomingMessage, socket: Socket, head: Buffer): void {
    const client = new WebSocketClient(request, socket, head);
    const { call } = this.#router.match(method, path)!;
    serve({ ...call, daemon: this.#daemon, client }).catch((error: unknown) => client.fail(error));
  }
}

/** What a terminal of the page is connected to: a stream of the API. */
interface Terminal {
  method: string;
  path: string;
  serve: (call: StreamCall) => Promise<void>;
}

const shellOf = (exec: string): Terminal => ({ method: "POST", path: `/exec/${exec}/start`, serve: startExec });

/** It begins with the last lines that the console has shown. */
function consoleOf(id: string): Terminal {
  const query = "stream=1&stdin=1&stdout=1&stderr=1&logs=1&tail=200";
  return { method: "GET", path: `/containers/${id}/attach/ws?${query}`, serve: attachWebSocket };
}

function refuse(reason: string | undefined): void {
  if (reason !== undefined) throw new LighterError("forbidden", reason);
}

function pathOf({ url = "" }: IncomingMessage): string {
  return url.split("?", 1)[0]!;
}
