/** Does the work of one build for the solver. */
import { LighterError } from "../../base/errors.ts";
import type { Vertex, Workshop } from "../../build/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { Container } from "../container.ts";
import { withContainerRoot } from "../files/container-root.ts";
import { CONTEXT_ID, type CopySteps } from "./copy-step.ts";
import { bodyOfRun, runStep } from "./run-step.ts";
import { NOTHING, type StepContainers } from "./step-containers.ts";
import type { StepImages } from "./step-images.ts";
import type { StepOutput } from "./step-output.ts";

interface WorkshopOptions {
  containers: StepContainers;
  images: StepImages;
  copies: CopySteps;
  hostConfig: DockerHostConfig;
  output: StepOutput;
  signal: AbortSignal;
  /** The steps under way, until they have ended. */
  steps: Set<Promise<unknown>>;
}

export function openWorkshop(options: WorkshopOptions): Workshop {
  const { containers, images, copies, signal, steps } = options;
  const tracked = <T>(step: Promise<T>): Promise<T> => {
    const ended = step.catch(() => {}).finally(() => steps.delete(ended)); // the solver hears of it
    steps.add(ended);
    return step;
  };
  return {
    source: async (op) => {
      if (op.kind === "local") return CONTEXT_ID;
      return op.reference === "scratch" ? "" : await images.base(images.store.get(op.reference));
    },
    hash: (op, sourceId) => tracked(copies.hash(op, sourceId)),
    execute: (vertex, inputs) => {
      const { op } = vertex;
      const [root = ""] = inputs;
      const body = op.kind === "exec" ? bodyOfRun(op, options.hostConfig) : NOTHING;
      return tracked(
        containers.use(root, body, async (container) => {
          await work(container, vertex, inputs, options);
          signal.throwIfAborted();
          return await images.keep(container, root);
        }),
      );
    },
  };
}

async function work(
  container: Container,
  vertex: Vertex,
  [root = "", sourceId = ""]: readonly string[],
  { containers: { engine }, copies, output, signal }: WorkshopOptions,
): Promise<void> {
  const { op } = vertex;
  if (op.kind === "exec") return await runStep(engine, container, op, { ...output.of(vertex), signal });
  await withContainerRoot(engine, container, async (fd) => {
    if (op.kind === "mkdir") await copies.makeDirectory(op, fd);
    else if (op.kind === "copy") await copies.copy(op, fd, root, sourceId);
    else throw new LighterError("internal", `no step: ${op.kind}`);
  });
}
