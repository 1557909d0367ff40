/** The websocket `/lighter/watch`. After it was cut off it connects once more, and asks for what the page shows by then. */
import { effect, signal } from "@preact/signals";
import type { HostUse, Measured, PageEvent, PageMessage, PageRequest } from "../spec/dashboard.ts";
import { MEASURED, measuredOf } from "../spec/dashboard.ts";
import { isReadOnly, sessionKey, sessionState } from "./session.ts";

const RECONNECT_MS = 2000;
const EVENTS_KEPT = 500;
const SERIES_MS = 5 * 60_000;

/** Whether the daemon is connected. */
export const isLive = signal(false);
export const hostUse = signal<HostUse | undefined>(undefined);
export const events = signal<readonly PageEvent[]>([]);

let socket: WebSocket | undefined;
/** The last request of each topic: it is made once more after a reconnection. */
const wanted = new Map<PageRequest["topic"], PageRequest>();
const logListeners = new Set<(message: Extract<PageMessage, { topic: "logs" }>) => void>();
const buildListeners = new Set<(message: Extract<PageMessage, { topic: "build" }>) => void>();
const historyListeners = new Set<(id: string, rows: number[][]) => void>();
const eventListeners = new Set<(event: PageEvent) => void>();

export function ask(request: PageRequest): void {
  wanted.set(request.topic, request);
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
}

function listener<T>(set: Set<T>, own: T): () => void {
  set.add(own);
  return () => void set.delete(own);
}

export const onLogs = (own: (message: Extract<PageMessage, { topic: "logs" }>) => void) => listener(logListeners, own);
export const onBuild = (own: (message: Extract<PageMessage, { topic: "build" }>) => void) =>
  listener(buildListeners, own);
export const onHistory = (own: (id: string, rows: number[][]) => void) => listener(historyListeners, own);
export const onEvent = (own: (event: PageEvent) => void) => listener(eventListeners, own);

export function connect(): void {
  socket = new WebSocket(`ws://${location.host}/lighter/watch`, ["lighter", sessionKey()]);
  socket.onopen = () => {
    isLive.value = true;
    for (const request of wanted.values()) socket?.send(JSON.stringify(request));
  };
  socket.onmessage = ({ data }) => take(JSON.parse(String(data)) as PageMessage);
  socket.onclose = () => {
    isLive.value = false;
    setTimeout(reconnect, RECONNECT_MS);
  };
}

/** A daemon that was restarted has no dashboard any more: then nothing answers, and the page says so. */
async function reconnect(): Promise<void> {
  const answer = await fetch("/session", { headers: { "X-Lighter-Key": sessionKey() } }).catch(() => undefined); // not there yet, or no more
  if (answer?.status === 403) sessionState.value = "none";
  else if (answer?.ok) {
    isReadOnly.value = ((await answer.json()) as { readOnly: boolean }).readOnly;
    connect();
  } else setTimeout(reconnect, RECONNECT_MS);
}

function take(message: PageMessage): void {
  if (message.topic === "stats") for (const [id, ...numbers] of message.rows) series(id).push(message.at, numbers);
  else if (message.topic === "host") {
    hostUse.value = message.use;
    series("").push(message.at, measuredOf(message.use));
  } else if (message.topic === "events") {
    events.value = [...(message.past ? [] : events.value), ...message.events].slice(-EVENTS_KEPT);
    if (!message.past) for (const event of message.events) for (const each of eventListeners) each(event);
  } else if (message.topic === "history") for (const each of historyListeners) each(message.id, message.rows);
  else if (message.topic === "recent") series(message.id).recall(message.rows);
  else if (message.topic === "build") for (const each of buildListeners) each(message);
  else for (const each of logListeners) each(message);
}

/** The measurements of the last minutes of one container; those of the host have the id "". */
class Series {
  readonly latest = signal<Measured | undefined>(undefined);
  /** Rows of [time, numbers of MEASURED…]. */
  #rows: (readonly number[])[] = [];

  get rows(): readonly (readonly number[])[] {
    return this.#rows;
  }

  push(at: number, numbers: readonly number[]): void {
    this.#rows.push([at, ...numbers]);
    this.#forget(at);
    this.latest.value = measured(numbers);
  }

  /** Takes what the daemon knows of the time before. */
  recall(rows: readonly (readonly number[])[]): void {
    const [newest = [0]] = rows.slice(-1);
    this.#rows = [...rows, ...this.#rows.filter(([at = 0]) => at > newest[0]!)];
    this.#forget(this.#rows.at(-1)?.[0] ?? 0);
    const [, ...numbers] = this.#rows.at(-1) ?? [];
    this.latest.value = measured(numbers);
  }

  #forget(now: number): void {
    const first = this.#rows.findIndex(([at = 0]) => at >= now - SERIES_MS);
    if (first > 0) this.#rows.splice(0, first);
  }
}

function measured(numbers: readonly number[]): Measured {
  return Object.fromEntries(MEASURED.map((name, i) => [name, numbers[i] ?? 0])) as Measured;
}

const allSeries = new Map<string, Series>();

export function series(id: string): Series {
  let found = allSeries.get(id);
  if (found === undefined) {
    found = new Series();
    allSeries.set(id, found);
  }
  return found;
}

/** Rows that are on the screen: they alone are measured. */
const visible = signal<ReadonlySet<string>>(new Set());
let pending: ReturnType<typeof setTimeout> | undefined;

export function setVisible(id: string, isShown: boolean): void {
  if (visible.value.has(id) === isShown) return;
  const next = new Set(visible.value);
  if (isShown) next.add(id);
  else next.delete(id);
  visible.value = next;
}

effect(() => {
  const ids = [...visible.value];
  clearTimeout(pending);
  pending = setTimeout(() => ask({ topic: "stats", ids }), 50); // scrolling shows and hides many at once
});
