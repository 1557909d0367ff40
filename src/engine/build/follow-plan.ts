/** Has a plan solved, and says what happens as Docker's classic builder does. */
import { LighterError } from "../../base/errors.ts";
import { shortId } from "../../base/ids.ts";
import { type BuildPlan, type PlannedStage, SCRATCH, type Solver, stepNames, type Vertex } from "../../build/mod.ts";
import type { ImageStore } from "../../image/mod.ts";
import { familiarReference, parseReference } from "../../spec/image-reference.ts";
import type { Platform } from "../../spec/oci-image.ts";
import type { Engine } from "../engine.ts";
import type { BuildOutput } from "../outputs/output-options.ts";
import type { BuildProgress } from "./build-progress.ts";
import type { BuildRequest } from "./build-request.ts";
import { type BuiltForm, type BuiltImage, exportBuild } from "./export-build.ts";
import type { ChainBase, ChainLink, ImageChain } from "./image-chain.ts";
import type { StepOutput } from "./step-output.ts";

/** What is made if nothing is said. */
const IMAGE_OUTPUT: readonly BuildOutput[] = [{ type: "image", attrs: {} }];

type Solve = ReturnType<Solver["begin"]>;

/** What is built for one platform. */
export interface BuildTarget {
  platform: Platform;
  plan: BuildPlan;
  chain: ImageChain;
}

interface Followed {
  solve: Solve;
  engine: Engine;
  images: ImageStore;
  output: StepOutput;
  progress: BuildProgress;
  request: BuildRequest;
  /** Gives further fields of the image's config, when all steps are done. */
  imageExtra: (plan: BuildPlan) => Promise<object>;
  /** Describes how an image was made whose steps are done; undefined if that is not asked for. */
  provenance: (target: BuildTarget) => Promise<object | undefined>;
}

/** Has the plans of all platforms solved, which begin at once, and exports what was built. */
export async function buildTargets(targets: readonly BuildTarget[], followed: Followed): Promise<BuiltImage> {
  const { solve, engine, images, progress, request } = followed;
  const { say, tags, targets: destinations, signal, outputs = IMAGE_OUTPUT } = request;
  for (const { plan } of targets)
    for (const { vertex } of plan.stages) if (vertex !== undefined) void solve(vertex).catch(() => {}); // told at its turn
  const forms: BuiltForm[] = [];
  for (const target of targets) {
    const form = await followPlan(target, followed);
    forms.push({ ...form, provenance: await followed.provenance(target) });
  }
  return await exportBuild({
    ...{ engine, images, tags, outputs, targets: destinations, progress, signal, forms },
    isProvenanceInlineOnly: request.provenance?.isInlineOnly ?? true,
    maxMtimeSeconds: targets[0]?.chain.epochSeconds,
    onImage: (made) => {
      say(` ---> ${shortId(made)}\n`);
      const unused = targets[0]?.plan.unusedArgs ?? [];
      if (unused.length > 0) say(`[Warning] One or more build-args [${unused.join(" ")}] were not consumed\n`);
      request.onImage?.(made);
      say(`Successfully built ${shortId(made)}\n`);
    },
    onTag: (name) => say(`Successfully tagged ${familiarReference(parseReference(name))}\n`),
  });
}

/** Follows the stages: their output is shown in the order of the Dockerfile. */
async function followPlan({ plan, platform, chain }: BuildTarget, followed: Followed): Promise<BuiltForm> {
  const { solve, images, output, request, imageExtra } = followed;
  const { say } = request;
  const { globalArgs, stages } = plan;
  const count = stages.reduce(
    (sum, { steps, triggerCount }) => sum + 1 + steps.length - triggerCount,
    globalArgs.length,
  );
  const ends = new Map<PlannedStage, ChainLink>();
  const exported = new Set<PlannedStage>();
  for (let stage = stages.at(-1); stage !== undefined; stage = stage.baseStage) exported.add(stage);
  let at = 0;
  let built: BuiltForm | undefined;
  for (const text of globalArgs) say(`Step ${++at}/${count} : ${text}\n`);
  for (const stage of stages) {
    say(`Step ${++at}/${count} : ${stage.from}\n`);
    let link = ends.get(stage.baseStage!) ?? chain.begin(stage, baseOf(stage, images));
    let root = await solved(stage.baseVertex ?? stage.baseStage?.vertex, solve);
    const sayBase = () => say(` ---> ${link.id === undefined ? "" : shortId(link.id)}\n`);
    const { triggerCount } = stage;
    if (triggerCount === 0) sayBase();
    else say(`# Executing ${triggerCount} build trigger${triggerCount === 1 ? "" : "s"}\n`);
    for (const [index, step] of stage.steps.entries()) {
      const isTrigger = index < triggerCount;
      if (!isTrigger) say(`Step ${++at}/${count} : ${step.text}\n`);
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
      const isLast = step === stages.at(-1)!.steps.at(-1); // its id is told with the image
      if (index === triggerCount - 1 && !isLast) sayBase();
      else if (!isTrigger && !isLast) say(` ---> ${shortId(link.id ?? root)}\n`);
    }
    ends.set(stage, link);
    if (stage !== stages.at(-1)) continue;
    const { vertex = SCRATCH } = stage;
    if (request.hasStepImages && link.id === undefined)
      throw new LighterError("invalid", "No image was generated. Is your Dockerfile empty?");
    request.onResult?.({ platform, root, vertex, names: stepNames(plan), document: chain.describe(link) });
    built = { platform, root, makeImage: async () => chain.finish(link, root, await imageExtra(plan)) };
  }
  return built!;
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
