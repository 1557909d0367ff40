/** The output of steps. Several stages write at once: a step's output waits until its turn. */
import type { Vertex } from "../../build/mod.ts";
import type { BuildProgress } from "./build-progress.ts";

export const STDERR_STREAM = 2;
/** Docker's classic builder shows errors so. */
const [RED, PLAIN] = ["\x1b[91m", "\x1b[0m"];

export class StepOutput {
  readonly #say: (text: string) => void;
  readonly #progress: BuildProgress;
  readonly #waiting = new Map<Vertex, string[]>();
  readonly #shown = new Set<Vertex>();

  constructor(say: (text: string) => void, progress: BuildProgress) {
    this.#say = say;
    this.#progress = progress;
  }

  /** Takes what a step says. */
  of(vertex: Vertex) {
    const decoder = new TextDecoder();
    return {
      onNote: (text: string) => this.#add(vertex, text),
      onOutput: (stream: number, bytes: Uint8Array) => {
        this.#progress.output(vertex, stream, bytes);
        const text = decoder.decode(bytes, { stream: true });
        this.#add(vertex, stream === STDERR_STREAM && text !== "" ? `${RED}${text}${PLAIN}` : text);
      },
    };
  }

  #add(vertex: Vertex, text: string): void {
    if (this.#shown.has(vertex)) {
      this.#say(text);
      return;
    }
    const waiting = this.#waiting.get(vertex) ?? [];
    waiting.push(text);
    this.#waiting.set(vertex, waiting);
  }

  show(vertex: Vertex): void {
    this.#shown.add(vertex);
    for (const text of this.#waiting.get(vertex) ?? []) this.#say(text);
    this.#waiting.delete(vertex);
  }
}
