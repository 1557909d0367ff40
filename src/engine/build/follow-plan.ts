/** Has a plan solved, and says what happens as Docker's classic builder does. */
import { shortId } from "../../base/ids.ts";
import { formatNow } from "../../base/time.ts";
import { type BuildPlan, canonicalName, type PlannedStage, type Solver } from "../../build/mod.ts";
import type { BuildProgress, BuildTask } from "./build-progress.ts";
import type { BuildRequest } from "./build-request.ts";
import type { History, StepImages } from "./step-images.ts";
import type { StepOutput } from "./step-output.ts";

type Solve = ReturnType<Solver["begin"]>;

interface Followed {
  plan: BuildPlan;
  solve: Solve;
  images: StepImages;
  output: StepOutput;
  progress: BuildProgress;
  request: BuildRequest;
}

/**
 * Runs the stages. All begin at once; their output is shown in the order of the Dockerfile. Resolves with the id of the image, which
 * has its tags.
 */
export async function followPlan({ plan, solve, images, output, progress, request }: Followed): Promise<string> {
  const { globalArgs, stages } = plan;
  const { say } = request;
  for (const { vertex } of stages) if (vertex !== undefined) void solve(vertex).catch(() => {}); // told at its turn
  const count = stages.reduce((sum, { steps }) => sum + 1 + steps.length, globalArgs.length);
  const histories = new Map<PlannedStage, History>();
  let [at, id] = [0, ""];
  for (const text of globalArgs) say(`Step ${++at}/${count} : ${text}\n`);
  for (const stage of stages) {
    say(`Step ${++at}/${count} : ${stage.from}\n`);
    const base = stage.baseReference === undefined ? undefined : images.store.get(stage.baseReference);
    const history = [...(base?.document.history ?? histories.get(stage.baseStage!) ?? [])];
    histories.set(stage, history);
    const rootOf = stage.baseReference === undefined ? "" : await images.base(base!);
    let root = stage.baseStage === undefined ? rootOf : await solved(stage.baseStage, solve);
    say(` ---> ${base === undefined ? "" : shortId(base.id)}\n`);
    for (const step of stage.steps) {
      say(`Step ${++at}/${count} : ${step.text}\n`);
      const before = images.layerCount(root);
      if (step.vertex !== undefined) {
        output.show(step.vertex);
        const { id: made, isCached } = await solve(step.vertex);
        if (isCached) say(" ---> Using cache\n");
        root = made;
      }
      const isEmpty = images.layerCount(root) === before;
      history.push({ created: formatNow(), created_by: step.createdBy, ...(isEmpty ? { empty_layer: true } : {}) });
      if (step !== stages.at(-1)!.steps.at(-1)) say(` ---> ${shortId(root)}\n`);
    }
    if (stage === stages.at(-1))
      id = await progress.task("exporting to image", async ({ part }) => {
        const made = await images.export(root, stage, history);
        part("exporting layers", { completed: true });
        part(`writing image ${made}`, { completed: true });
        say(` ---> ${shortId(made)}\n`);
        say(`Successfully built ${shortId(made)}\n`);
        await tagImage(made, images, request, part);
        return made;
      });
  }
  return id;
}

async function tagImage(
  id: string,
  { store }: StepImages,
  { tags, say }: BuildRequest,
  part: BuildTask["part"],
): Promise<void> {
  for (const tag of tags) {
    await store.tag(id, tag);
    part(`naming to ${canonicalName(tag)}`, { completed: true });
    say(`Successfully tagged ${tag}\n`);
  }
}

async function solved(stage: PlannedStage, solve: Solve): Promise<string> {
  return stage.vertex === undefined ? "" : (await solve(stage.vertex)).id;
}
