/** Which stages of a Dockerfile are meant. */
import { goQuote } from "../../base/go-escapes.ts";
import { invalid } from "./error.ts";
import type { Stage } from "./types.ts";

/** The stages up to the target, which is a name or a number; "" is the last. @throws LighterError "invalid" */
export function stagesUpTo(stages: readonly Stage[], target: string): readonly Stage[] {
  if (target === "") return stages;
  const isTarget = ({ from, index }: Stage) => from.name === target.toLowerCase() || String(index) === target;
  const at = stages.findIndex(isTarget);
  if (at < 0) throw invalid(`target stage ${goQuote(target)} could not be found`);
  return stages.slice(0, at + 1);
}
