/** Does the work of one build for the solver. */
import { LighterError } from "../../base/errors.ts";
import type { Vertex, Workshop } from "../../build/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { CONTEXT_ID, type CopySteps } from "./copy-step.ts";
import { bodyOfRun, runStep } from "./run-step.ts";
import type { StepOutput } from "./step-output.ts";
import { NOTHING, type StepRoot, type StepRoots } from "./step-roots.ts";

interface WorkshopOptions {
  roots: StepRoots;
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
  const { roots, copies, signal, steps, held } = options;
  const { images } = roots;
  const tracked = <T>(step: Promise<T>): Promise<T> => {
    const ended = step.catch(() => {}).finally(() => steps.delete(ended)); // the solver hears of it
    steps.add(ended);
    return step;
  };
  const keep = (id: string) => void held.use(images.snapshots.hold(id));
  return {
    source: async (op) => {
      if (op.kind === "local") return CONTEXT_ID;
      const root = op.reference === "scratch" ? "" : roots.of(images.get(op.reference));
      keep(root);
      return root;
    },
    hash: (op, sourceId) => tracked(copies.hash(op, sourceId)),
    execute: async (vertex, inputs) => {
      const body = vertex.op.kind === "exec" ? bodyOfRun(vertex.op, options.hostConfig) : NOTHING;
      const change = async (step: StepRoot) => {
        await work(step, vertex, inputs, options);
        signal.throwIfAborted();
      };
      const id = await tracked(roots.change(inputs[0] ?? "", body, change));
      void tracked(images.measureSnapshot(id));
      return id;
    },
    keep,
  };
}

async function work(
  step: StepRoot,
  vertex: Vertex,
  [root = "", sourceId = ""]: readonly string[],
  { roots, copies, output, signal }: WorkshopOptions,
): Promise<void> {
  const { op } = vertex;
  if (op.kind === "exec") return await runStep(roots.engine, step, op, { ...output.of(vertex), signal });
  await roots.withMounted(step, async (fd) => {
    if (op.kind === "mkdir") await copies.makeDirectory(op, fd);
    else if (op.kind === "copy") await copies.copy(op, fd, root, sourceId);
    else throw new LighterError("internal", `no step: ${op.kind}`);
  });
}
