/** What progress calls the steps of a build. Source: moby/buildkit frontend/dockerfile/dockerfile2llb (the form of the names). */
import { formatReference, parseUnlessId } from "../../spec/image-reference.ts";
import type { Vertex } from "./llb.ts";
import type { BuildPlan, PlannedStage } from "./plan.ts";

/** The names of steps and of base images: "[2/3] RUN true", in a Dockerfile of several stages "[stage-1 2/3] RUN true". */
export function stepNames({ stages }: Pick<BuildPlan, "stages">): Map<Vertex, string> {
  const names = new Map<Vertex, string>();
  for (const stage of stages) {
    const vertices = [...baseOf(stage), ...stage.steps.flatMap(({ vertex }) => (vertex === undefined ? [] : [vertex]))];
    for (const [index, vertex] of vertices.entries()) {
      const words = [stage.shownPlatform, stage.label, `${index + 1}/${vertices.length}`];
      names.set(vertex, `[${words.filter(Boolean).join(" ")}] ${nameOf(vertex)}`);
    }
  }
  return names;
}

function baseOf({ baseReference, baseVertex }: PlannedStage): Vertex[] {
  return baseReference === undefined || baseVertex === undefined ? [] : [baseVertex];
}

/** The name of a vertex that belongs to no stage: an image that is copied from. */
export function nameOf({ op, name }: Vertex): string {
  if (op.kind !== "image" || op.reference === "scratch") return name;
  // The operation may have the id of an image for another platform; what clients send has names of all kinds.
  const [, written = op.reference] = /^FROM (\S+)$/.exec(name) ?? [];
  return `FROM ${canonicalName(written)}`;
}

/** "docker.io/library/debian:latest"; an image's id stays as it is. */
export function canonicalName(name: string): string {
  const reference = parseUnlessId(name);
  return reference === undefined ? name : formatReference(reference);
}
