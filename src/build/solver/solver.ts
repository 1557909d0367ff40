/**
 * Makes vertices of a graph into root file systems, each of which has an id, and a key that stands for how it came about.
 *
 * A step's key is the digest of its operation over its inputs: the keys of root file systems, and of what is copied, a hash of the
 * paths that are meant and of nothing else. So a step is found again whoever made its inputs. What a command has made may differ
 * from one execution to the next, and counts as the same. COPY --link is a step on an empty root file system, whose result is then
 * put over what is there, so that it is found whatever that is.
 */
import { LighterError } from "../../base/errors.ts";
import { inSpan } from "../../base/spans.ts";
import { resultsOf } from "../graph/exec-op.ts";
import {
  type CopyOp,
  isApart,
  isSource,
  keyOfOp,
  type Op,
  plainCopy,
  type SourceOp,
  type Vertex,
} from "../graph/llb.ts";
import { SharedStep, type StepListener } from "./shared-step.ts";

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
  /** Executes the step. `inputs`: ids, as in the vertex. Resolves with the ids of its results: new root file systems. */
  execute(
    vertex: Vertex,
    inputs: readonly string[],
    listener: StepListener,
    signal: AbortSignal,
  ): Promise<readonly string[]>;
  /** Puts a root file system over another one. Resolves with the new one's id. */
  merge(lower: string, upper: string, vertex: Vertex): Promise<string>;
  /** Finds a step that was done elsewhere, and brings its result here. */
  find(key: string): Promise<string | undefined>;
  /** Who hears what a step says. */
  listener(vertex: Vertex): StepListener;
  /** Keeps a root file system until the build has ended. */
  keep(id: string): void;
  /** Set if nothing is to be done: what is found is not used either. */
  onlyLooks?: true;
}

/** What is known of steps that are done. */
export interface StepCache {
  /** The id under the key; undefined if the step is not there any more. `isUse`: somebody uses it. */
  find(key: string, isUse: boolean): string | undefined;
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
  /** Says of which steps the cache is not to be used, either. */
  skipsCache?: (vertex: Vertex) => boolean;
  signal: AbortSignal;
  watcher?: SolveWatcher;
}

/** A step under way: it resolves with its results by their keys. */
type Step = SharedStep<ReadonlyMap<string, string>>;

/** What is known of one build. */
interface Solving extends SolveOptions {
  /** The steps that it has begun, by key: a command whose results are several vertices is run once, whatever the cache is. */
  begun: Map<string, Step>;
}

/** Solves the vertices of one build. */
export interface Solve {
  (vertex: Vertex): Promise<Solved>;
  /** Resolves when everything has ended that only this build has begun, which it does soon after `signal` has said so. */
  ended(): Promise<void>;
}

/** One for all builds: a step that two of them want at once is done once. */
export class Solver {
  readonly #cache: StepCache;
  /** By key. */
  readonly #underway = new Map<string, Step>();

  constructor(cache: StepCache) {
    this.#cache = cache;
  }

  /** Gives what solves the vertices of one build, each once, inputs side by side. */
  begin(given: SolveOptions): Solve {
    const options: Solving = { ...given, begun: new Map() };
    const solved = new Map<Vertex, Promise<Solved>>();
    const solve = (vertex: Vertex): Promise<Solved> => {
      const known = solved.get(vertex);
      if (known !== undefined) return known;
      const solving = this.#solve(vertex, solve, options);
      solving.catch(() => {}); // whoever asks for it hears of it
      solved.set(vertex, solving);
      return solving;
    };
    const ended = async () => void (await Promise.allSettled(solved.values()));
    return Object.assign(solve, { ended });
  }

  async #solve(vertex: Vertex, solve: (vertex: Vertex) => Promise<Solved>, options: Solving): Promise<Solved> {
    const inputs = await Promise.all(vertex.inputs.map(solve));
    options.signal.throwIfAborted();
    options.watcher?.started(vertex);
    try {
      const solved = await inSpan(vertex.name, async (span) => {
        const made = await this.#make(vertex, inputs, options);
        span?.set({ "build.step.cached": made.isCached });
        return made;
      });
      options.watcher?.ended(vertex, solved);
      return solved;
    } catch (error) {
      options.watcher?.ended(vertex, { error });
      throw error;
    }
  }

  async #make(vertex: Vertex, solved: readonly Solved[], options: Solving): Promise<Solved> {
    const { workshop, signal } = options;
    const { op } = vertex;
    if (isSource(op)) {
      const id = await workshop.source(op);
      return { id, key: id, isCached: false };
    }
    const inputs = solved.map(({ id }) => id);
    const base = solved[0]?.key ?? "";
    const content = await contentOf(vertex, solved, (copy, ids) => workshop.hash(copy, ids, signal));
    if (base === "" || !isApart(op)) return await this.#step(keysOf(op, [base, ...content]), vertex, inputs, options);
    const ownKey = keyOfOp(op, ["", ...content]);
    const key = keyOfOp({ kind: "merge" }, [base, ownKey]);
    const known = await this.#find(key, vertex, inputs, options);
    if (known !== undefined) return known;
    const own = await this.#step([ownKey], vertex, ["", ...inputs.slice(1)], options);
    const id = await workshop.merge(inputs[0]!, own.id, vertex);
    this.#cache.add(key, { id, baseId: inputs[0]!, description: vertex.name });
    workshop.keep(id);
    return { id, key, isCached: own.isCached };
  }

  /** Finds a step in the cache, or in one that was imported. */
  async #find(
    key: string,
    vertex: Vertex,
    inputs: readonly string[],
    options: SolveOptions,
  ): Promise<Solved | undefined> {
    const { workshop } = options;
    if (options.noCache || options.skipsCache?.(vertex) === true) return undefined;
    const id =
      this.#cache.find(key, workshop.onlyLooks !== true) ?? (await this.#findElsewhere(key, vertex, inputs, workshop));
    if (id === undefined) return undefined;
    workshop.keep(id);
    return { id, key, isCached: true };
  }

  /** Does a step, unless it is found or somebody else does it. `keys`: those of its results, the one that is wanted first. */
  async #step(keys: readonly string[], vertex: Vertex, inputs: readonly string[], options: Solving): Promise<Solved> {
    const { workshop, signal, begun } = options;
    const key = keys[0]!;
    const noCache = options.noCache || options.skipsCache?.(vertex) === true;
    for (;;) {
      const cached = await this.#find(key, vertex, inputs, options);
      if (cached !== undefined) return cached;
      const other = begun.get(key) ?? (noCache ? undefined : this.#underway.get(key));
      const step = other === undefined || other.isGivenUp ? this.#begin(keys, vertex, inputs, options) : other;
      try {
        const id = (await step.take(workshop.listener(vertex), signal)).get(key)!;
        workshop.keep(id);
        return { id, key, isCached: false };
      } catch (error) {
        // What another build could not do for want of a secret, or of memory, this one may be able to.
        if (step !== other || signal.aborted || (error instanceof LighterError && error.code === "invalid"))
          throw error;
      }
    }
  }

  async #findElsewhere(key: string, { name }: Vertex, inputs: readonly string[], workshop: Workshop) {
    const id = await workshop.find(key);
    if (id !== undefined) this.#cache.add(key, { id, baseId: inputs[0]!, description: name });
    return id;
  }

  #begin(keys: readonly string[], vertex: Vertex, inputs: readonly string[], { workshop, begun }: Solving): Step {
    const step: Step = new SharedStep(async (listener, signal) => {
      try {
        const ids = await workshop.execute(vertex, inputs, listener, signal);
        for (const [index, id] of ids.entries()) {
          this.#cache.add(keys[index]!, { id, baseId: inputs[0]!, description: vertex.name });
          workshop.keep(id);
        }
        return new Map(keys.map((key, index) => [key, ids[index]!]));
      } catch (error) {
        for (const key of keys) if (begun.get(key) === step) begun.delete(key);
        throw error;
      } finally {
        for (const key of keys) if (this.#underway.get(key) === step) this.#underway.delete(key);
      }
    });
    for (const key of keys) {
      this.#underway.set(key, step);
      if (keys.length > 1) begun.set(key, step);
    }
    return step;
  }
}

/** The keys of all results of an operation, the vertex's own first. `inputs`: their keys. */
function keysOf(op: Op, inputs: readonly string[]): string[] {
  if (op.kind !== "exec" || op.results === undefined) return [keyOfOp(op, inputs)];
  return resultsOf(op).map((keeps) => keyOfOp({ ...op, keeps }, inputs));
}

/** What stands for the inputs after the first: the content of what is copied or mounted, or the key of a whole root file system. */
async function contentOf(
  { op, inputs }: Vertex,
  solved: readonly Solved[],
  hash: (op: CopyOp, ids: readonly string[]) => Promise<string>,
): Promise<string[]> {
  const others = solved.slice(1);
  if (op.kind === "copy")
    return [
      await hash(
        op,
        others.map(({ id }) => id),
      ),
    ];
  if (op.kind === "change") {
    const ids = others.map(({ id }) => id);
    return await Promise.all(op.actions.flatMap((action) => (action.kind === "copy" ? [hash(action, ids)] : [])));
  }
  if (op.kind !== "exec") return others.map(({ key }) => key);
  return await Promise.all(
    others.map(({ id, key }, index) => {
      const mount = op.mounts.find((each) => each.type === "bind" && each.input === index + 1);
      const isWhole = mount?.type !== "bind" || mount.source === "/";
      if (isWhole && inputs[index + 1]!.op.kind !== "local") return key;
      return hash(plainCopy("RUN", mount?.type === "bind" ? mount.source : "/"), [id]);
    }),
  );
}
