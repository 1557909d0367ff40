/** What a build has said, as its steps. */
import type { SolveStatus, SolveVertex } from "../spec/solve-status.ts";

/** The text of a step that is kept: what it has printed last. */
const TEXT_MAX_LENGTH = 256 * 1024;

export interface BuildStep {
  readonly digest: string;
  readonly name: string;
  /** Milliseconds since 1970; undefined: it has not begun, or not ended. */
  readonly startedMs: number | undefined;
  readonly endedMs: number | undefined;
  readonly isCached: boolean;
  readonly error: string;
  /** What it has printed. */
  readonly text: string;
}

export class BuildSteps {
  readonly #vertices = new Map<string, SolveVertex>();
  readonly #texts = new Map<string, { decoder: TextDecoder; text: string }>();

  apply({ vertexes = [], logs = [] }: SolveStatus): void {
    for (const vertex of vertexes) this.#vertices.set(vertex.digest, vertex);
    for (const { vertex, data } of logs) {
      const own = this.#texts.get(vertex) ?? { decoder: new TextDecoder(), text: "" };
      this.#texts.set(vertex, own);
      const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
      own.text = (own.text + own.decoder.decode(bytes, { stream: true })).slice(-TEXT_MAX_LENGTH);
    }
  }

  /** The steps as they began; then those that have not. */
  list(): BuildStep[] {
    const steps = [...this.#vertices.values()].map(({ digest, name, started, completed, cached, error }) => ({
      ...{ digest, name, isCached: cached === true, error: error ?? "" },
      ...{ startedMs: timeOf(started), endedMs: timeOf(completed), text: this.#texts.get(digest)?.text ?? "" },
    }));
    return steps.sort(
      (a, b) => (a.startedMs ?? Number.POSITIVE_INFINITY) - (b.startedMs ?? Number.POSITIVE_INFINITY) || 0,
    );
  }
}

function timeOf(text: string | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
