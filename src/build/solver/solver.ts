/**
 * Makes vertices of a graph into root file systems, each of which has an id, and a key that stands for how it came about.
 *
 * A step's key is the digest of its operation over its inputs: the keys of root file systems, and of what is copied, a hash of the
 * paths that are meant and of nothing else. So a step is found again whoever made its inputs. What a command has made may differ
 * from one execution to the next, and counts as the same.
 */
import { type CopyOp, digestOfOp, isSource, type SourceOp, type Vertex } from "../graph/llb.ts";

interface Solved {
  /** The root file system; "" is an empty one. */
  id: string;
  key: string;
  isCached: boolean;
}

/** Who does the work of one build. */
export interface Workshop {
  /** The id of what needs no step, which is its key as well. */
  source(op: SourceOp): Promise<string>;
  /** Stands for the content of what is copied: bytes, modes and owners, not times. `sourceIds`: the inputs after the first. */
  hash(op: CopyOp, sourceIds: readonly string[], signal: AbortSignal): Promise<string>;
  /** Executes the step. `inputs`: ids, as in the vertex. Resolves with the new root file system's. */
  execute(vertex: Vertex, inputs: readonly string[], signal: AbortSignal): Promise<string>;
  /** Keeps a root file system until the build has ended. */
  keep(id: string): void;
}

/** What is known of steps that are done. */
export interface StepCache {
  /** The id under the key; undefined if the step is not there any more. */
  find(key: string): string | undefined;
  add(key: string, entry: { id: string; baseId: string; description: string }): void;
}

/** Hears of each vertex that is worked on: once when that begins, once when it ends. */
export interface SolveWatcher {
  started(vertex: Vertex): void;
  ended(vertex: Vertex, outcome: { isCached: boolean } | { error: unknown }): void;
}

interface SolveOptions {
  workshop: Workshop;
  noCache: boolean;
  signal: AbortSignal;
  watcher?: SolveWatcher;
}

/** One for all builds: a step that two of them want at once is done once. */
export class Solver {
  readonly #cache: StepCache;
  /** By key. */
  readonly #underway = new Map<string, Promise<string>>();

  constructor(cache: StepCache) {
    this.#cache = cache;
  }

  /** Gives what solves the vertices of one build, each once, inputs side by side. */
  begin(options: SolveOptions): (vertex: Vertex) => Promise<Solved> {
    const solved = new Map<Vertex, Promise<Solved>>();
    const solve = (vertex: Vertex): Promise<Solved> => {
      const known = solved.get(vertex);
      if (known !== undefined) return known;
      const solving = this.#solve(vertex, solve, options);
      solving.catch(() => {}); // whoever asks for it hears of it
      solved.set(vertex, solving);
      return solving;
    };
    return solve;
  }

  async #solve(vertex: Vertex, solve: (vertex: Vertex) => Promise<Solved>, options: SolveOptions): Promise<Solved> {
    const inputs = await Promise.all(vertex.inputs.map(solve));
    options.signal.throwIfAborted();
    options.watcher?.started(vertex);
    try {
      const solved = await this.#make(vertex, inputs, options);
      options.watcher?.ended(vertex, solved);
      return solved;
    } catch (error) {
      options.watcher?.ended(vertex, { error });
      throw error;
    }
  }

  async #make(vertex: Vertex, solved: readonly Solved[], { workshop, noCache, signal }: SolveOptions): Promise<Solved> {
    const { op } = vertex;
    if (isSource(op)) {
      const id = await workshop.source(op);
      return { id, key: id, isCached: false };
    }
    const inputs = solved.map(({ id }) => id);
    const [root = "", ...others] = solved.map((input) => input.key);
    const content = op.kind === "copy" ? [await workshop.hash(op, inputs.slice(1), signal)] : others;
    const key = digestOfOp(op, [root, ...content]);
    const found = (id: string, isCached: boolean): Solved => {
      workshop.keep(id);
      return { id, key, isCached };
    };
    for (;;) {
      const cached = noCache ? undefined : this.#cache.find(key);
      if (cached !== undefined) return found(cached, true);
      const other = noCache ? undefined : this.#underway.get(key);
      if (other === undefined) break;
      const id = await other.catch(() => undefined); // then it is for us to try
      signal.throwIfAborted();
      if (id !== undefined) return found(id, true);
    }
    const executing = this.#execute(key, vertex, inputs, { workshop, signal });
    this.#underway.set(key, executing);
    try {
      return found(await executing, false);
    } finally {
      if (this.#underway.get(key) === executing) this.#underway.delete(key);
    }
  }

  async #execute(
    key: string,
    vertex: Vertex,
    inputs: readonly string[],
    { workshop, signal }: Pick<SolveOptions, "workshop" | "signal">,
  ): Promise<string> {
    const id = await workshop.execute(vertex, inputs, signal);
    this.#cache.add(key, { id, baseId: inputs[0]!, description: vertex.name });
    return id;
  }
}
