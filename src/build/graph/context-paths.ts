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
  const isContext = (vertex: Vertex | undefined) =>
    vertex?.op.kind === "local" && vertex.op.name === "context" && vertex.op.session === undefined;
  if (!inputs.some(isContext)) return [];
  const sources =
    op.kind === "copy"
      ? op.actions.filter(({ input }) => isContext(inputs[input]))
      : op.kind === "exec"
        ? op.mounts.flatMap((mount) => (mount.type === "bind" && isContext(inputs[mount.input]) ? [mount] : []))
        : [];
  // A name with a character that a wildcard has would be taken for one.
  const isWhole = (source: string, isPattern: boolean) => source === "/" || (!isPattern && /[*?[\\]/.test(source));
  if (sources.some((each) => isWhole(each.source, "isPattern" in each && each.isPattern))) return undefined;
  return sources.map(({ source }) => source.slice(1));
}
