/** Does the work of one build for the solver. */
import { LighterError } from "../../base/errors.ts";
import type { Vertex, Workshop } from "../../build/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { BuildSources } from "./build-sources.ts";
import type { CopySteps } from "./copy-step.ts";
import { bodyOfRun, runStep } from "./run-step.ts";
import type { StepOutput } from "./step-output.ts";
import type { StepRoots } from "./step-roots.ts";

interface WorkshopOptions {
  roots: StepRoots;
  sources: BuildSources;
  copies: CopySteps;
  hostConfig: DockerHostConfig;
  output: StepOutput;
  signal: AbortSignal;
  /** The steps under way, until they have ended. */
  steps: Set<Promise<unknown>>;
  /** The root file systems that the build needs, until it has ended. */
  held: DisposableStack;
}

export function openWorkshop(options: WorkshopOptions): Workshop {
  const { roots, sources, copies, steps, held } = options;
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
      if (op.kind === "image") keep(id);
      return id;
    },
    hash: (op, sourceIds) => tracked(copies.hash(op, sourceIds)),
    execute: async (vertex, inputs) => {
      const id = await tracked(execute(vertex, inputs, options));
      void tracked(images.measureSnapshot(id));
      return id;
    },
    keep,
  };
}

async function execute(
  vertex: Vertex,
  inputs: readonly string[],
  { roots, copies, hostConfig, output, signal }: WorkshopOptions,
): Promise<string> {
  const { op } = vertex;
  const [root = ""] = inputs;
  if (op.kind === "copy") return await copies.copy(op, inputs);
  if (op.kind === "mkdir") return await copies.makeDirectory(op, root);
  if (op.kind !== "exec") throw new LighterError("internal", `no step: ${op.kind}`);
  return await roots.change(root, bodyOfRun(op, hostConfig), async (step) => {
    await runStep(roots.engine, step, op, { ...output.of(vertex), signal });
    signal.throwIfAborted();
  });
}
