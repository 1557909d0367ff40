/** What happens to containers, images, volumes and networks, as it happens: `GET /events`. */
import { realTimeNs } from "../linux/sys/clock.ts";

export type EventType = "container" | "image" | "volume" | "network" | "daemon" | "builder";

export interface EngineEvent {
  readonly type: EventType;
  /** The action in Docker's words, with what it adds: "exec_create: ls /", "health_status: healthy". */
  readonly action: string;
  /** The id of the object: a container's id, an image's id or name, a volume's name. */
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** The real time. No two events have the same, so that a client can go on after the last it saw. */
  readonly timeNs: bigint;
}

/** The number of past events that can be asked for. Docker's number. */
const KEPT_EVENTS = 256;
/** The largest step back of the clock that is hidden; one that was set back by more is believed. */
const TIE_MAX_NS = 1_000_000_000n;

/**
 * The channel of events. Everybody publishes what they have done, after it is in the database; nobody waits for listeners. Events
 * live in memory: a client of a daemon that died asks the next one for the state of things.
 */
export class EventBus {
  readonly #clockNs: () => bigint;
  readonly #kept: EngineEvent[] = [];
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  #lastNs = 0n;
  #clientCount = 0;
  /** The number of events since the daemon began. */
  publishedCount = 0;

  constructor(clockNs: () => bigint = realTimeNs) {
    this.#clockNs = clockNs;
  }

  publish(type: EventType, action: string, id: string, attributes: Readonly<Record<string, string>> = {}): void {
    const event = { type, action, id, attributes, timeNs: this.#nextNs() };
    this.publishedCount++;
    this.#kept.push(event);
    if (this.#kept.length > KEPT_EVENTS) this.#kept.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** Returns the time of an event; times that the clock does not tell apart are counted up. */
  #nextNs(): bigint {
    const now = this.#clockNs();
    const isTie = now <= this.#lastNs && this.#lastNs - now < TIE_MAX_NS;
    this.#lastNs = isTie ? this.#lastNs + 1n : now;
    return this.#lastNs;
  }

  /** Returns the events that are kept, oldest first. */
  past(): readonly EngineEvent[] {
    return [...this.#kept];
  }

  /** Adds a listener, which gets every event from now on, until the result is disposed of. It must not throw. */
  listen(listener: (event: EngineEvent) => void): Disposable {
    const own = (event: EngineEvent) => listener(event); // the same one may listen twice
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  /** Adds a client as a listener, and counts it. */
  subscribe(listener: (event: EngineEvent) => void): Disposable {
    const listening = this.listen(listener);
    this.#clientCount++;
    return {
      [Symbol.dispose]: () => {
        listening[Symbol.dispose]();
        this.#clientCount--;
      },
    };
  }

  get clientCount(): number {
    return this.#clientCount;
  }
}
