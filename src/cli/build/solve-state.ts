/** What is known of a build: its vertices in the order in which they began, with what they have printed. */
import { parseRfc3339 } from "../../base/time.ts";
import type { SolveStatus, SolveVertex, VertexStatus, VertexWarning } from "../../spec/solve-status.ts";

/** Lines that are kept of each vertex: those that are shown if it fails. */
const KEPT_LINES = 200;

interface LogLine {
  readonly text: string;
  /** Seconds since the vertex began. */
  readonly seconds: number;
}

export class VertexState {
  /** Counted from 1. */
  readonly number: number;
  vertex: SolveVertex;
  readonly parts = new Map<string, VertexStatus>();
  readonly lines: LogLine[] = [];
  /** The beginning of a line that is not complete. */
  #unfinished = "";
  readonly #decoder = new TextDecoder();

  constructor(number: number, vertex: SolveVertex) {
    this.number = number;
    this.vertex = vertex;
  }

  /** Takes output. Returns the lines that it completes. */
  print(bytes: Uint8Array, timestamp: string): LogLine[] {
    const texts = (this.#unfinished + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#unfinished = texts.pop() ?? "";
    return this.#keep(texts, timestamp);
  }

  /** Takes what is left of the output as a line. */
  finish(): LogLine[] {
    const rest = this.#unfinished;
    this.#unfinished = "";
    return rest === "" ? [] : this.#keep([rest], this.vertex.completed ?? this.vertex.started ?? "");
  }

  #keep(texts: readonly string[], timestamp: string): LogLine[] {
    const seconds = secondsBetween(this.vertex.started, timestamp);
    const lines = texts.map((text) => ({ text: text.replace(/\r$/, ""), seconds }));
    this.lines.push(...lines);
    if (this.lines.length > KEPT_LINES) this.lines.splice(0, this.lines.length - KEPT_LINES);
    return lines;
  }
}

/** Returns the seconds from one time to another; 0 if either is unknown. */
export function secondsBetween(from: string | undefined, to: string | undefined): number {
  const [fromNs, toNs] = [parseRfc3339(from ?? ""), parseRfc3339(to ?? "")];
  return fromNs === undefined || toNs === undefined || toNs < fromNs ? 0 : Number(toNs - fromNs) / 1e9;
}

/** What a message has changed. */
export type Change =
  | { kind: "vertex"; of: VertexState }
  | { kind: "part"; of: VertexState; part: VertexStatus }
  | { kind: "lines"; of: VertexState; lines: LogLine[] };

export class SolveState {
  readonly #byDigest = new Map<string, VertexState>();
  /** How many vertices there are, with those that have not begun. */
  readonly #announced = new Set<string>();
  readonly warnings: VertexWarning[] = [];

  /** The vertices that have begun, in that order. */
  get begun(): VertexState[] {
    return [...this.#byDigest.values()];
  }

  get total(): number {
    return this.#announced.size;
  }

  find(digest: string): VertexState | undefined {
    return this.#byDigest.get(digest);
  }

  /** Takes a message. Returns what it has changed, in order. */
  apply({ vertexes = [], statuses = [], logs = [], warnings = [] }: SolveStatus): Change[] {
    const changes: Change[] = [];
    for (const part of statuses) {
      const of = this.#byDigest.get(part.vertex);
      if (of === undefined) continue;
      of.parts.set(part.id, part);
      changes.push({ kind: "part", of, part });
    }
    for (const { vertex, data, timestamp } of logs) {
      const of = this.#byDigest.get(vertex);
      const lines = of?.print(Buffer.from(data, "base64"), timestamp) ?? [];
      if (of !== undefined && lines.length > 0) changes.push({ kind: "lines", of, lines });
    }
    for (const vertex of vertexes) changes.push(...this.#applyVertex(vertex));
    this.warnings.push(...warnings);
    return changes;
  }

  #applyVertex(vertex: SolveVertex): Change[] {
    this.#announced.add(vertex.digest);
    if (vertex.started === undefined) return [];
    const of = this.#byDigest.get(vertex.digest) ?? new VertexState(this.#byDigest.size + 1, vertex);
    this.#byDigest.set(vertex.digest, of);
    of.vertex = vertex;
    const rest = vertex.completed === undefined ? [] : of.finish();
    return [...(rest.length === 0 ? [] : [{ kind: "lines", of, lines: rest } as const]), { kind: "vertex", of }];
  }
}
