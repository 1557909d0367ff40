/** Tells how a build proceeds: of the steps of its graph, and of what it does beside them. */

import { randomId } from "../../base/ids.ts";
import { inSpan } from "../../base/spans.ts";
import { formatNow } from "../../base/time.ts";
import {
  DockerfileError,
  digestOfVertex,
  formatExcerpt,
  isScratch,
  nameOf,
  type SolveWatcher,
  type Vertex,
} from "../../build/mod.ts";
import type { BuildFailure, SolveStatus, SolveVertex, VertexStatus, VertexWarning } from "../../spec/solve-status.ts";
import { failureText } from "./step-failed.ts";

/** One thing that a build does beside the steps: it reads the Dockerfile, or exports an image. */
export interface BuildTask {
  readonly digest: string;
  /** Tells how far a part is; the part has ended if `completed`. */
  part(id: string, counts?: { current?: number; total?: number; completed?: boolean }): void;
}

/** Vertices with one digest are one: the first of them is told of, and the others are the same work. */
export class BuildProgress implements SolveWatcher {
  readonly #send: (status: SolveStatus) => void;
  readonly #vertices = new Map<string, SolveVertex>();
  /** The first step that has failed. */
  #failed: Vertex | undefined;

  constructor(send: (status: SolveStatus) => void) {
    this.#send = send;
  }

  /** Announces the steps: clients number them in this order. */
  announce(names: ReadonlyMap<Vertex, string>): void {
    const vertexes = [...names].flatMap(([vertex, name]) => {
      const known = this.#vertices.get(digestOfVertex(vertex));
      return known === undefined ? [{ ...this.#know(vertex, name) }] : [];
    });
    this.#send({ vertexes });
  }

  started(vertex: Vertex): void {
    if (isSilent(vertex)) return;
    const known = this.#vertices.get(digestOfVertex(vertex)) ?? this.#know(vertex, nameOf(vertex));
    if (known.started !== undefined) return;
    known.started = formatNow();
    this.#sendVertex(known);
  }

  ended(vertex: Vertex, outcome: { isCached: boolean } | { error: unknown }): void {
    const known = this.#vertices.get(digestOfVertex(vertex));
    if (known === undefined || known.completed !== undefined) return;
    known.completed = formatNow();
    if ("error" in outcome) {
      known.error = failureText(outcome.error);
      this.#failed ??= vertex;
    } else if (outcome.isCached) known.cached = true;
    this.#sendVertex(known);
  }

  /** Passes on what a step has printed. */
  output(vertex: Vertex, stream: number, bytes: Uint8Array): void {
    const data = Buffer.from(bytes).toString("base64");
    this.#send({ logs: [{ vertex: digestOfVertex(vertex), stream, data, timestamp: formatNow() }] });
  }

  warn(warnings: VertexWarning[]): void {
    if (warnings.length > 0) this.#send({ warnings });
  }

  /** Does what is not a step, and tells of it under this name. */
  async task<T>(name: string, work: (task: BuildTask) => Promise<T>): Promise<T> {
    const vertex: SolveVertex = { digest: `sha256:${randomId()}`, name, started: formatNow() };
    this.#sendVertex(vertex);
    const parts = new Map<string, VertexStatus>();
    const part: BuildTask["part"] = (id, { current = 0, total, completed = false } = {}) => {
      const now = formatNow();
      const status = parts.get(id) ?? { id, vertex: vertex.digest, current, timestamp: now, started: now };
      Object.assign(status, { current, timestamp: now }, total === undefined ? {} : { total });
      if (completed) status.completed = now;
      parts.set(id, status);
      this.#send({ statuses: [{ ...status }] });
    };
    try {
      return await inSpan(name, () => work({ digest: vertex.digest, part }));
    } catch (error) {
      vertex.error = failureText(error);
      throw error;
    } finally {
      vertex.completed = formatNow();
      this.#sendVertex(vertex);
    }
  }

  /** Finds the lines of the Dockerfile that a failure is about. */
  locate(error: unknown, filename: string, dockerfile: string): BuildFailure {
    const range = this.#failed?.range;
    const ranges = error instanceof DockerfileError ? error.ranges : range === undefined ? [] : [range];
    const excerpt = formatExcerpt(filename, dockerfile.split("\n"), ranges);
    return {
      ...(this.#failed === undefined ? {} : { vertex: digestOfVertex(this.#failed) }),
      ...(excerpt === "" ? {} : { excerpt, ranges }),
    };
  }

  #know(vertex: Vertex, name: string): SolveVertex {
    const inputs = vertex.inputs.filter((input) => !isSilent(input)).map(digestOfVertex);
    const { progressGroup } = vertex;
    const known = {
      ...{ digest: digestOfVertex(vertex), ...(inputs.length === 0 ? {} : { inputs }), name },
      ...(progressGroup && { progressGroup }),
    };
    this.#vertices.set(known.digest, known);
    return known;
  }

  #sendVertex(vertex: SolveVertex): void {
    this.#send({ vertexes: [{ ...vertex }] });
  }
}

/** The context is there before the first step, and an empty root file system takes no work. */
function isSilent(vertex: Vertex): boolean {
  return vertex.op.kind === "local" || isScratch(vertex);
}
