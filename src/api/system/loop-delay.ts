/** Measures how late the event loop is, while somebody asks for it. */
import { HistogramFamily } from "../../base/metrics.ts";

const INTERVAL_MS = 500;
/** The time without a reader after which nothing is measured: longer than between two scrapes. */
const PATIENCE_MS = 150_000;
const BUCKETS_S = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

export class LoopDelay {
  readonly #delays = new HistogramFamily(
    "lighter_event_loop_delay_seconds",
    "How late a timer was, every half second since the first scrape",
    BUCKETS_S,
  );
  readonly #patienceMs: number;
  #timer: Timer | undefined;
  #readMs = 0;

  constructor(patienceMs = PATIENCE_MS) {
    this.#patienceMs = patienceMs;
    this.#delays.of({});
  }

  get isMeasuring(): boolean {
    return this.#timer !== undefined;
  }

  /** Returns the lines, and measures from now on, until nobody has read for a while. */
  read(): string[] {
    this.#readMs = performance.now();
    if (this.#timer === undefined) this.#schedule();
    return this.#delays.format();
  }

  #schedule(): void {
    const dueMs = performance.now() + INTERVAL_MS;
    this.#timer = setTimeout(() => {
      const nowMs = performance.now();
      this.#delays.observe(Math.max(0, nowMs - dueMs) / 1000);
      if (nowMs - this.#readMs < this.#patienceMs) this.#schedule();
      else this.#timer = undefined;
    }, INTERVAL_MS).unref();
  }
}
