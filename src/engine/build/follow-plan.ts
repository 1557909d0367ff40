/** Has a plan solved, and says what happens as Docker's classic builder does. */
import { shortId } from "../../base/ids.ts";
import { type BuildPlan, type PlannedStage, SCRATCH, type Solver, stepNames, type Vertex } from "../../build/mod.ts";
import type { ImageStore } from "../../image/mod.ts";
import { familiarReference, parseReference } from "../../spec/image-reference.ts";
import type { Engine } from "../engine.ts";
import type { BuildProgress } from "./build-progress.ts";
import type { BuildRequest } from "./build-request.ts";
import { type BuildOutput, exportBuild } from "./export-build.ts";
import type { ChainBase, ChainLink, ImageChain } from "./image-chain.ts";
import type { StepOutput } from "./step-output.ts";

/** What is made if nothing is said. */
const IMAGE_OUTPUT: readonly BuildOutput[] = [{ type: "image", attrs: {} }];

type Solve = ReturnType<Solver["begin"]>;

interface Followed {
  plan: BuildPlan;
  solve: Solve;
  engine: Engine;
  images: ImageStore;
  chain: ImageChain;
  output: StepOutput;
  progress: BuildProgress;
  request: BuildRequest;
}

/**
 * Runs the stages. All begin at once; their output is shown in the order of the Dockerfile. Resolves with the id of the image, which
 * has its tags.
 */
export async function followPlan({
  plan,
  solve,
  engine,
  images,
  chain,
  output,
  progress,
  request,
}: Followed): Promise<string> {
  const { globalArgs, stages } = plan;
  const { say, tags, targets, signal, outputs = IMAGE_OUTPUT } = request;
  for (const { vertex } of stages) if (vertex !== undefined) void solve(vertex).catch(() => {}); // told at its turn
  const count = stages.reduce((sum, { steps }) => sum + 1 + steps.length, globalArgs.length);
  const ends = new Map<PlannedStage, ChainLink>();
  const exported = new Set<PlannedStage>();
  for (let stage = stages.at(-1); stage !== undefined; stage = stage.baseStage) exported.add(stage);
  let [at, id] = [0, ""];
  for (const text of globalArgs) say(`Step ${++at}/${count} : ${text}\n`);
  for (const stage of stages) {
    say(`Step ${++at}/${count} : ${stage.from}\n`);
    let link = ends.get(stage.baseStage!) ?? chain.begin(stage, baseOf(stage, images));
    let root = await solved(stage.baseVertex ?? stage.baseStage?.vertex, solve);
    say(` ---> ${link.id === undefined ? "" : shortId(link.id)}\n`);
    for (const step of stage.steps) {
      say(`Step ${++at}/${count} : ${step.text}\n`);
      const before = images.snapshots.layersOf(root).length;
      if (step.vertex !== undefined) {
        output.show(step.vertex);
        const { id: made, isCached } = await solve(step.vertex);
        if (isCached) say(" ---> Using cache\n");
        root = made;
        if (exported.has(stage)) void chain.pack(root).catch(() => {}); // beside the next step; the export hears of it
      }
      const isEmpty = images.snapshots.layersOf(root).length === before;
      const done = await chain.add(link, stage, { ...step, root, isEmpty, isExported: exported.has(stage) });
      link = done.link;
      if (step.vertex === undefined && done.isKnown) say(" ---> Using cache\n");
      if (step !== stages.at(-1)!.steps.at(-1)) say(` ---> ${shortId(link.id ?? root)}\n`);
    }
    ends.set(stage, link);
    if (stage !== stages.at(-1)) continue;
    const { vertex = SCRATCH } = stage;
    request.onResult?.({ root, vertex, names: stepNames(plan), document: chain.describe(link) });
    id = await exportBuild({
      ...{ engine, images, tags, outputs, targets, progress, signal, root },
      maxMtimeSeconds: chain.epochSeconds,
      makeImage: () => chain.finish(link, root),
      onImage: (made) => {
        say(` ---> ${shortId(made)}\n`);
        request.onImage?.(made);
        say(`Successfully built ${shortId(made)}\n`);
      },
      onTag: (name) => say(`Successfully tagged ${familiarReference(parseReference(name))}\n`),
    });
  }
  return id;
}

function baseOf({ baseReference, baseInput }: PlannedStage, images: ImageStore): ChainBase | undefined {
  if (baseReference !== undefined) {
    const { id, document } = images.get(baseReference);
    return { id, key: id, document };
  }
  const document = baseInput?.image;
  return document && { id: undefined, key: JSON.stringify(document), document };
}

async function solved(vertex: Vertex | undefined, solve: Solve): Promise<string> {
  return vertex === undefined ? "" : (await solve(vertex)).id;
}
