/** What one build works with: its sources, its progress, and a solver whose steps use them. All of it ends with the build. */
import { LighterError } from "../../base/errors.ts";
import { isScratch, type Solve, type Solver, type Vertex, type Workshop } from "../../build/mod.ts";
import type { Trash } from "../../files/mod.ts";
import type { PullEvent } from "../../image/mod.ts";
import type { ImportedCaches } from "../cache/import-cache.ts";
import type { Downloads } from "../sources/http-source.ts";
import type { KeptContexts } from "../sources/kept-contexts.ts";
import { BuildProgress, type BuildTask } from "./build-progress.ts";
import type { BuildRequest } from "./build-request.ts";
import { BuildSources } from "./build-sources.ts";
import type { CacheMounts } from "./cache-mounts.ts";
import { CopySteps } from "./copy-step.ts";
import type { KnownFiles } from "./known-files.ts";
import { RunSteps } from "./run-step.ts";
import { StepOutput } from "./step-output.ts";
import type { StepRoots } from "./step-roots.ts";
import { openWorkshop } from "./workshop.ts";

export type SiteRequest = Pick<
  BuildRequest,
  "contextFile" | "fetchImage" | "hostConfig" | "inputs" | "namedContext" | "onStatus" | "openLayout" | "say" | "signal"
>;

interface SiteOptions {
  roots: StepRoots;
  trash: Trash;
  caches: CacheMounts;
  downloads: Downloads;
  knownFiles: KnownFiles;
  kept: KeptContexts;
  solver: Solver;
  request: SiteRequest;
  /** Called when nothing uses the site any more, which may be after its end: its steps may be wanted by other builds. */
  onLeft: () => Promise<void>;
}

interface SolveOptions {
  noCache: boolean;
  skipsCache?: (vertex: Vertex) => boolean;
  imported?: ImportedCaches | undefined;
  /** Replaces who does the work. */
  change?: (workshop: Workshop) => Workshop;
}

export class BuildSite implements AsyncDisposable {
  readonly sources: BuildSources;
  readonly progress: BuildProgress;
  readonly output: StepOutput;
  readonly #options: SiteOptions;
  readonly #aborter = new AbortController();
  /** Aborts when the build has ended, too. */
  readonly signal: AbortSignal;
  /** What it needs until nothing uses the site any more. */
  readonly held = new DisposableStack();
  readonly #steps = new Set<Promise<unknown>>();
  #solve: Solve | undefined;

  constructor(options: SiteOptions) {
    const { request, roots, trash, downloads, kept } = options;
    this.#options = options;
    this.signal = AbortSignal.any([request.signal, this.#aborter.signal]);
    const { signal } = this;
    const { namedContext, openLayout, contextFile } = request;
    const secret = request.inputs?.secret.bind(request.inputs);
    const client = { namedContext, openLayout, contextFile, secret, knownFiles: options.knownFiles };
    this.sources = new BuildSources(roots, trash, { signal, downloads, kept, client });
    this.progress = new BuildProgress(request.onStatus);
    this.output = new StepOutput(request.say, this.progress);
  }

  /** Who runs commands. */
  get runs(): RunSteps {
    const { roots, caches, request } = this.#options;
    return new RunSteps({ roots, sources: this.sources, caches, request });
  }

  /** Begins to solve. Called once. */
  solve({ noCache, skipsCache, imported, change = (workshop) => workshop }: SolveOptions): Solve {
    const { roots, solver } = this.#options;
    const { sources, output, runs } = this;
    const copies = new CopySteps(roots, sources);
    const workshop = change(
      openWorkshop({ roots, sources, copies, runs, steps: this.#steps, held: this.held, output, imported }),
    );
    const isSkipped = (vertex: Vertex) => vertex.ignoresCache === true || skipsCache?.(vertex) === true;
    const options = { workshop, noCache, skipsCache: isSkipped, signal: this.signal, watcher: this.progress };
    this.#solve = solver.begin(options);
    return this.#solve;
  }

  /** Makes sure that the images are there that a client's graph begins with. */
  async fetchImages(graph: Iterable<Vertex>): Promise<void> {
    const { fetchImage } = this.#options.request;
    const references = [...graph].flatMap((each) =>
      each.op.kind === "image" && !isScratch(each) ? [each.op.reference] : [],
    );
    for (const reference of new Set(references))
      await this.progress.task(`resolve image config for ${reference}`, ({ part }) =>
        fetchImage(reference, showPull(part), undefined),
      );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#aborter.abort(new LighterError("conflict", "the build has ended"));
    await this.#solve?.ended();
    // What is left is wanted by other builds, too, and may need our context.
    void Promise.allSettled(this.#steps).then(async () => {
      this.sources[Symbol.dispose]();
      this.held.dispose();
      await this.#options.onLeft();
    });
  }
}

/** The time between two counts of what is being transferred. */
const COUNT_INTERVAL_MS = 200;

/** The layers of an image as parts of a task. */
export function showPull(part: BuildTask["part"]): (event: PullEvent) => void {
  let shownMs = 0;
  return (event) => {
    if (event.kind !== "layer") return;
    const { digest, phase, currentBytes: current = 0, totalBytes: total } = event;
    const completed = phase === "Pull complete" || phase === "Already exists";
    if (!completed && performance.now() - shownMs < COUNT_INTERVAL_MS) return;
    shownMs = performance.now();
    part(digest, { current, ...(total === undefined ? {} : { total }), completed });
  };
}
