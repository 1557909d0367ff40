/** Solves the graphs (LLB) of clients, which are no Dockerfiles. */
import { isScratch, nameOf, type Vertex, verticesOf } from "../../build/mod.ts";
import type { ImageStore } from "../../image/mod.ts";
import type { BuildRequest } from "../build/build-request.ts";
import type { BuildSite, SiteRequest } from "../build/build-site.ts";

export interface GraphRequest extends SiteRequest, Pick<BuildRequest, "noCache" | "onFailure"> {
  vertex: Vertex;
}

/** A root file system that stays until it is let go. */
export interface HeldRoot {
  /** The id of its snapshot; "" is an empty one. */
  root: string;
  hold: Disposable;
}

export async function solveGraph(
  site: BuildSite,
  { snapshots }: ImageStore,
  { vertex, noCache }: GraphRequest,
): Promise<HeldRoot> {
  const graph = [...verticesOf(vertex)];
  await site.fetchImages(graph);
  const shown = graph.filter((each) => each.op.kind !== "local" && !isScratch(each));
  site.progress.announce(new Map(shown.map((each) => [each, nameOf(each)])));
  const { id: root } = await site.solve({ noCache })(vertex);
  return { root, hold: snapshots.hold(root) };
}
