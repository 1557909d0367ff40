/** Solves the graphs (LLB) of clients, which are no Dockerfiles. */
import { isScratch, nameOf, type Solve, type Vertex, verticesOf } from "../../build/mod.ts";
import type { ImageStore } from "../../image/mod.ts";
import type { BuildRequest } from "../build/build-request.ts";
import type { BuildSite, SiteRequest } from "../build/build-site.ts";
import type { ImportedCaches } from "../cache/import-cache.ts";

export interface GraphRequest extends SiteRequest, Pick<BuildRequest, "noCache" | "onFailure" | "cacheImports"> {
  vertex: Vertex;
}

/** Graphs that were solved before, of which the cache is left elsewhere. */
export interface CachesRequest
  extends Omit<GraphRequest, "vertex" | "onFailure">,
    Pick<BuildRequest, "cacheExports" | "onAnswer"> {
  vertices: readonly Vertex[];
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
  imported: ImportedCaches | undefined,
): Promise<HeldRoot> {
  const solve = await solveGraphs(site, { vertices: [vertex], noCache }, imported);
  const { id: root } = await solve(vertex);
  return { root, hold: snapshots.hold(root) };
}

/** Solves graphs. Resolves with what knows the results. */
export async function solveGraphs(
  site: BuildSite,
  { vertices, noCache }: Pick<CachesRequest, "vertices" | "noCache">,
  imported: ImportedCaches | undefined,
): Promise<Solve> {
  const graph = new Set(vertices.flatMap((vertex) => [...verticesOf(vertex)]));
  await site.fetchImages(graph);
  const shown = [...graph].filter((each) => each.op.kind !== "local" && !isScratch(each));
  site.progress.announce(new Map(shown.map((each) => [each, nameOf(each)])));
  const solve = site.solve({ noCache, imported });
  for (const vertex of vertices) await solve(vertex);
  return solve;
}
