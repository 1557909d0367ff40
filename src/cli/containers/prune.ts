/** Shared parts of the `prune` commands: the question before, the removal, and the reclaimed space after. */

import { boolFlag, listFlag } from "../flags.ts";
import { formatSize } from "../format/units.ts";
import type { Client } from "../http/client.ts";
import { withPruneFilters } from "../login/configured.ts";
import { stdout } from "../output.ts";
import { encodeFilters, parseFilter } from "../values/filters.ts";

export const pruneFlags = (filterHelp: string) => ({
  filter: listFlag(filterHelp, { type: "filter", item: parseFilter }),
  force: boolFlag("Do not ask", { short: "f" }),
});

/** Returns true to go on: with `--force`, or if the user says yes. `what` completes "This will remove …". */
export async function mayPrune(force: boolean, what: string): Promise<boolean> {
  if (force) return true;
  const { confirm } = await import("../login/prompt.ts");
  return confirm(`WARNING! This will remove ${what}.\nAre you sure you want to continue?`);
}

interface Pruned {
  readonly ContainersDeleted?: readonly string[] | null;
  readonly NetworksDeleted?: readonly string[] | null;
  readonly VolumesDeleted?: readonly string[] | null;
  readonly ImagesDeleted?: readonly { readonly Untagged?: string; readonly Deleted?: string }[] | null;
  readonly CachesDeleted?: readonly string[] | null;
  readonly SpaceReclaimed?: number;
}

/** Kinds of things that can be pruned, with route, heading, and how an answer is listed. */
const KINDS = {
  containers: { path: "/containers/prune", heading: "Deleted Containers:", lines: (a: Pruned) => a.ContainersDeleted },
  networks: { path: "/networks/prune", heading: "Deleted Networks:", lines: (a: Pruned) => a.NetworksDeleted },
  volumes: { path: "/volumes/prune", heading: "Deleted Volumes:", lines: (a: Pruned) => a.VolumesDeleted },
  images: {
    path: "/images/prune",
    heading: "Deleted Images:",
    lines: (a: Pruned) =>
      a.ImagesDeleted?.map(({ Untagged, Deleted }) => (Untagged ? `untagged: ${Untagged}` : `deleted: ${Deleted}`)),
  },
  buildCache: {
    path: "/build/prune",
    heading: "Deleted build cache objects:",
    lines: (a: Pruned) => a.CachesDeleted,
  },
} as const;

type PruneKind = keyof typeof KINDS;

/**
 * Prunes and prints what was removed. Returns the bytes reclaimed. `filters` are the user's own; `query` is added to
 * them.
 */
export async function prune(
  client: Client,
  kind: PruneKind,
  filters: readonly string[],
  query: Readonly<Record<string, string | undefined>> = {},
): Promise<number> {
  const { path, heading, lines } = KINDS[kind];
  const all = encodeFilters(await withPruneFilters(filters));
  const answer = await client.postJson<Pruned>(path, { ...query, filters: all });
  const deleted = lines(answer) ?? [];
  if (deleted.length > 0) await stdout.text(`${[heading, ...deleted].join("\n")}\n\n`);
  return answer.SpaceReclaimed ?? 0;
}

export async function printReclaimed(bytes: number): Promise<void> {
  await stdout.text(`Total reclaimed space: ${formatSize(bytes)}\n`);
}
