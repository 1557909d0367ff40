/** Which files of a context a build can need. */
import type { Vertex } from "./llb.ts";
import type { BuildPlan } from "./plan.ts";

/** What a build needs of its context: nothing, everything, or what is at or below paths, which may have wildcards. */
type ContextNeed = "nothing" | "everything" | readonly string[];

export function contextNeedOf({ stages }: Pick<BuildPlan, "stages">): ContextNeed {
  const paths = new Set<string>();
  for (const { steps } of stages)
    for (const { vertex } of steps) {
      const needed = vertex === undefined ? [] : pathsOf(vertex);
      if (needed === undefined) return "everything";
      for (const path of needed) paths.add(path);
    }
  return paths.size === 0 ? "nothing" : [...paths];
}

/** The paths that a step needs; undefined for all. */
function pathsOf({ op, inputs }: Vertex): string[] | undefined {
  const isContext = (vertex: Vertex | undefined) => vertex?.op.kind === "local";
  if (!inputs.some(isContext)) return [];
  if (op.kind !== "copy") return undefined;
  const actions = op.actions.filter(({ input }) => isContext(inputs[input]));
  // A name with a character that a wildcard has would be taken for one.
  if (actions.some(({ source, isPattern }) => source === "/" || (!isPattern && /[*?[\\]/.test(source))))
    return undefined;
  return actions.map(({ source }) => source.slice(1));
}
