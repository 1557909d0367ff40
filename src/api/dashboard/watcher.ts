/** One page's websocket `/lighter/watch`: it says what it shows, and gets news of that alone. See spec/dashboard.ts. */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { messageOf } from "../../base/errors.ts";
import { DASHBOARD_BACKLOG_MAX_BYTES, DASHBOARD_MESSAGE_MAX_BYTES, DASHBOARD_WATCHED_MAX } from "../../base/limits.ts";
import { type EngineEvent, type HistoryEvent, readLogs } from "../../engine/mod.ts";
import type { HostUse, PageEvent, PageMessage, PageRequest } from "../../spec/dashboard.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { logQueryOf } from "./log-query.ts";
import type { Measurements, Viewer } from "./measurements.ts";

const acceptor = new WebSocketServer({ noServer: true, maxPayload: DASHBOARD_MESSAGE_MAX_BYTES });

const CLOSE_INVALID = 1007;
const CLOSE_ENDED = 1001;
/** The most entries of a log in one message. */
const ENTRIES_AT_ONCE = 500;
/** How much of the past a small line shows. */
const RECENT_MS = 5 * 60_000;

export class Watcher implements Viewer {
  readonly #daemon: Daemon;
  readonly #measurements: Measurements;
  readonly #onClosed: () => void;
  #webSocket: WebSocket | undefined;
  #backlogBytes = 0;
  #listening = new DisposableStack();
  #showing: Disposable | undefined;
  #logs: AbortController | undefined;
  #build: AbortController | undefined;
  ids: ReadonlySet<string> = new Set();
  wantsHost = false;

  constructor(daemon: Daemon, measurements: Measurements, onClosed: () => void) {
    this.#daemon = daemon;
    this.#measurements = measurements;
    this.#onClosed = onClosed;
  }

  accept(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const onClosed = () => this.#closed();
    socket.once("close", onClosed);
    acceptor.handleUpgrade(request, socket, head, (webSocket) => {
      socket.off("close", onClosed);
      this.#webSocket = webSocket;
      this.#showing = this.#measurements.show(this);
      webSocket.on("message", (message) => this.#take(message));
      webSocket.on("error", () => {}); // the websocket then closes
      webSocket.on("close", onClosed);
    });
  }

  close(): void {
    this.#webSocket?.close(CLOSE_ENDED);
  }

  showStats(at: number, rows: [id: string, ...numbers: number[]][]): void {
    if (this.#backlogBytes < DASHBOARD_BACKLOG_MAX_BYTES) this.#send({ topic: "stats", at, rows });
  }

  showHost(at: number, use: HostUse): void {
    if (this.#backlogBytes < DASHBOARD_BACKLOG_MAX_BYTES) this.#send({ topic: "host", at, use });
  }

  #closed(): void {
    this.#listening.dispose();
    this.#showing?.[Symbol.dispose]();
    this.#logs?.abort();
    this.#build?.abort();
    this.#onClosed();
  }

  #send(message: PageMessage): void {
    const bytes = Buffer.from(JSON.stringify(message));
    this.#backlogBytes += bytes.length;
    this.#webSocket?.send(bytes, { binary: false }, () => {
      this.#backlogBytes -= bytes.length;
    });
  }

  #take(message: Buffer): void {
    const request = parseRequest(message);
    if (request === undefined) return void this.#webSocket?.close(CLOSE_INVALID);
    if (request.topic === "stats") this.#show(request.ids.slice(0, DASHBOARD_WATCHED_MAX));
    else if (request.topic === "host") {
      this.wantsHost = request.on;
      if (request.on) this.#sendRecent("");
    } else if (request.topic === "events") this.#watchEvents(request.on);
    else if (request.topic === "history")
      this.#send({ topic: "history", id: request.id, rows: this.#measurements.historyOf(request.id) });
    else if (request.topic === "build") void this.#followBuild(request.id);
    else void this.#follow(request);
    if (request.topic === "stats" || request.topic === "host") void this.#measurements.measure();
  }

  #show(ids: readonly string[]): void {
    for (const id of ids) if (!this.ids.has(id)) this.#sendRecent(id);
    this.ids = new Set(ids);
  }

  #sendRecent(id: string): void {
    const fromMs = Date.now() - RECENT_MS;
    const rows = this.#measurements.historyOf(id).filter(([atMs = 0]) => atMs >= fromMs);
    if (rows.length > 0) this.#send({ topic: "recent", id, rows });
  }

  /** Sends the events that are kept, then each new one. */
  #watchEvents(on: boolean): void {
    this.#listening.dispose();
    this.#listening = new DisposableStack();
    if (!on) return;
    const { engine, builder } = this.#daemon;
    this.#send({ topic: "events", past: true, events: engine.events.past().map(describeEvent) });
    const tell = (event: PageEvent) => {
      // A page that does not read is cut off, and begins anew: it must not miss an event without a sign.
      if (this.#backlogBytes > DASHBOARD_BACKLOG_MAX_BYTES) this.#webSocket?.terminate();
      else this.#send({ topic: "events", past: false, events: [event] });
    };
    this.#listening.use(engine.events.subscribe((event) => tell(describeEvent(event))));
    this.#listening.use(builder.history.listen((event) => tell(describeBuildEvent(event))));
  }

  /** Follows the log of one container in place of the one before. */
  async #follow(request: Extract<PageRequest, { topic: "logs" }>): Promise<void> {
    this.#logs?.abort();
    if (request.id === "") return;
    const { id } = request;
    const ending = new AbortController();
    this.#logs = ending;
    let [past, end] = [true, ""];
    try {
      const { path, query } = logQueryOf(this.#daemon, request, ending.signal);
      for await (const entries of readLogs(path, query)) {
        for (let at = 0; at < entries.length; at += ENTRIES_AT_ONCE) {
          const some = entries.slice(at, at + ENTRIES_AT_ONCE);
          this.#send({
            topic: "logs",
            ...{ id, past },
            entries: some.map(({ time, stream, log }) => ({ time, error: stream === "stderr", text: log })),
          });
          past = false;
        }
        await this.#drained(ending.signal);
        if (ending.signal.aborted) return;
      }
    } catch (error) {
      end = messageOf(error);
    }
    if (!ending.signal.aborted) this.#send({ topic: "logs", id, end });
  }

  /** Follows one build in place of the one before. */
  async #followBuild(id: string): Promise<void> {
    this.#build?.abort();
    if (id === "") return;
    this.#build = new AbortController();
    const { signal } = this.#build;
    let [past, end] = [true, ""];
    try {
      for await (const statuses of this.#daemon.builder.history.follow(id, signal)) {
        this.#send({ topic: "build", id, past, statuses });
        past = false;
        await this.#drained(signal);
        if (signal.aborted) return;
      }
    } catch (error) {
      end = messageOf(error);
    }
    if (!signal.aborted) this.#send({ topic: "build", id, end });
  }

  /** Waits until the page has read most of what it was sent. */
  async #drained(signal: AbortSignal): Promise<void> {
    while (this.#backlogBytes > DASHBOARD_BACKLOG_MAX_BYTES && !signal.aborted)
      await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function describeBuildEvent({ kind, build: { id, name, startedMs, ...rest } }: HistoryEvent): PageEvent {
  const at = kind === "started" ? startedMs : Date.now();
  const error = "error" in rest ? rest.error : "";
  return { at, type: "build", action: kind, id, attributes: { name, ...(error === "" ? {} : { error }) } };
}

function describeEvent({ timeNs, type, action, id, attributes }: EngineEvent): PageEvent {
  return { at: Number(timeNs / 1_000_000n), type, action, id, attributes };
}

/** A page's message, or undefined if it is none. */
export function parseRequest(message: Buffer | string): PageRequest | undefined {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(String(message));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { topic, id, on, ids, tail, since } = value;
  if (topic === "stats" && Array.isArray(ids) && ids.every((each) => typeof each === "string")) return { topic, ids };
  if ((topic === "host" || topic === "events") && typeof on === "boolean") return { topic, on };
  if (typeof id !== "string") return undefined;
  if (topic === "history" || topic === "build") return { topic, id };
  if (topic !== "logs" || (since !== undefined && typeof since !== "string")) return undefined;
  return { topic, id, tail: Number.isInteger(tail) ? Number(tail) : 1000, ...(since ? { since } : {}) };
}
