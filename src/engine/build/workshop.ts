/** Does the work of one build for the solver. */
import { LighterError } from "../../base/errors.ts";
import type { StepListener, Vertex, Workshop } from "../../build/mod.ts";
import type { ImportedCaches } from "../cache/import-cache.ts";
import { differenceOf, mergeLayers } from "../llb/compose-layers.ts";
import type { BuildSources } from "./build-sources.ts";
import type { CopySteps } from "./copy-step.ts";
import type { RunSteps } from "./run-step.ts";
import type { StepOutput } from "./step-output.ts";
import type { StepRoots } from "./step-roots.ts";

interface WorkshopOptions {
  roots: StepRoots;
  sources: BuildSources;
  copies: CopySteps;
  runs: RunSteps;
  imported: ImportedCaches | undefined;
  output: StepOutput;
  /** The steps under way, until they have ended. */
  steps: Set<Promise<unknown>>;
  /** The root file systems that the build needs, until it has ended. */
  held: DisposableStack;
}

export function openWorkshop(options: WorkshopOptions): Workshop {
  const { roots, sources, copies, imported, output, steps, held } = options;
  const { images } = roots;
  const tracked = <T>(step: Promise<T>): Promise<T> => {
    const ended = step.catch(() => {}).finally(() => steps.delete(ended)); // the solver hears of it
    steps.add(ended);
    return step;
  };
  const keep = (id: string) => void held.use(images.snapshots.hold(id));
  return {
    source: async (op) => {
      const id = await tracked(sources.open(op));
      if (op.kind === "image" || op.kind === "layout") keep(id);
      return id;
    },
    hash: (op, sourceIds, signal) => tracked(copies.hash(op, sourceIds, signal)),
    merge: (lower, upper) => roots.compose(mergeLayers(images, [lower, upper])),
    find: async (key) => await imported?.find(key),
    listener: (vertex) => output.of(vertex),
    execute: async (vertex, inputs, listener, signal) => {
      const ids = [await tracked(execute(vertex, inputs, options, listener, signal))].flat();
      for (const id of ids) void tracked(images.measureSnapshot(id));
      return ids;
    },
    keep,
  };
}

function execute(
  vertex: Vertex,
  inputs: readonly string[],
  { copies, runs, roots }: WorkshopOptions,
  listener: StepListener,
  signal: AbortSignal,
): Promise<string | string[]> {
  const { op } = vertex;
  if (op.kind === "copy") return copies.copy(op, inputs, signal);
  if (op.kind === "mkdir") return copies.makeDirectory(op, inputs[0] ?? "", signal);
  if (op.kind === "exec") return runs.run(op, inputs, { ...listener, signal });
  if (op.kind === "change") return copies.change(op, inputs, signal);
  if (op.kind === "merge") return roots.compose(mergeLayers(roots.images, inputs));
  if (op.kind === "diff") return roots.compose(differenceOf(roots.images, inputs));
  throw new LighterError("internal", `no step: ${op.kind}`);
}
