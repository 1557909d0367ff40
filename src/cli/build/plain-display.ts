/** Progress as lines, each with the number of its vertex: for logs, and for output that is no terminal. */
import type { SolveStatus, VertexStatus } from "../../spec/solve-status.ts";
import { partText } from "./part-text.ts";
import { type Change, type SolveState, secondsBetween, type VertexState } from "./solve-state.ts";

/** How long others wait for the vertex whose lines are being shown, so that lines of one stay together. */
const PATIENCE_MS = 1000;
/** The time between two lines about one transfer. */
const PART_INTERVAL_MS = 5000;

export class PlainDisplay {
  readonly #state: SolveState;
  readonly #nowMs: () => number;
  #current: VertexState | undefined;
  #isFirst = true;
  #currentSinceMs = 0;
  readonly #waiting = new Map<VertexState, string[]>();
  readonly #shownParts = new Map<string, number>();

  constructor(state: SolveState, nowMs: () => number = () => performance.now()) {
    this.#state = state;
    this.#nowMs = nowMs;
  }

  /** Takes a message. Returns what is to be printed. */
  update(status: SolveStatus): string {
    for (const change of this.#state.apply(status)) {
      const lines = this.#linesOf(change);
      if (lines.length > 0) this.#waiting.set(change.of, [...(this.#waiting.get(change.of) ?? []), ...lines]);
      else if (!this.#waiting.has(change.of)) this.#waiting.set(change.of, []);
    }
    return this.#flush(false);
  }

  /** Returns what is left to be printed. */
  end(): string {
    return this.#flush(true);
  }

  #flush(isEnd: boolean): string {
    let text = "";
    for (;;) {
      const next = this.#next(isEnd);
      if (next === undefined) return text;
      const lines = this.#waiting.get(next)!;
      this.#waiting.delete(next);
      if (next !== this.#current) text += this.#turnTo(next);
      text += lines.map((line) => `#${next.number} ${line}\n`).join("");
      if (next.vertex.completed !== undefined) this.#current = undefined;
    }
  }

  /** Chooses whose lines come next: the current one's as long as it runs, unless others have waited for long. */
  #next(isEnd: boolean): VertexState | undefined {
    const current = this.#current;
    if (current !== undefined && this.#waiting.has(current)) return current;
    const isBusy = current !== undefined && this.#nowMs() - this.#currentSinceMs < PATIENCE_MS;
    if (isBusy && !isEnd) return undefined;
    return this.#waiting.keys().next().value;
  }

  #turnTo(next: VertexState): string {
    const left = this.#current === undefined ? "" : `#${this.#current.number} ...\n`;
    const gap = this.#isFirst ? "" : "\n";
    this.#isFirst = false;
    this.#current = next;
    this.#currentSinceMs = this.#nowMs();
    return `${left}${gap}#${next.number} ${next.vertex.name}\n`;
  }

  #linesOf(change: Change): string[] {
    if (change.kind === "lines")
      return change.lines.map(({ text, seconds }) => `${seconds.toFixed(3).slice(0, 5)} ${text}`);
    if (change.kind === "part") return this.#isDue(change.part) ? [partText(change.part)] : [];
    const { started, completed, cached, error } = change.of.vertex;
    if (completed === undefined) return [];
    if (error !== undefined) return [`ERROR: ${error}`];
    return [cached === true ? "CACHED" : `DONE ${secondsBetween(started, completed).toFixed(1)}s`];
  }

  #isDue({ vertex, id, completed }: VertexStatus): boolean {
    const key = `${vertex} ${id}`;
    const now = this.#nowMs();
    if (completed === undefined && now - (this.#shownParts.get(key) ?? now - PART_INTERVAL_MS / 2) < PART_INTERVAL_MS) {
      if (!this.#shownParts.has(key)) this.#shownParts.set(key, now);
      return false;
    }
    this.#shownParts.set(key, now);
    return true;
  }
}
