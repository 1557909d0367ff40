import { type Context, defineCommand } from "../command.ts";
import { printReclaimed, prune, pruneFlags } from "../containers/prune.ts";
import { ApiError, CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import type { Client } from "../http/client.ts";
import { withPruneFilters } from "../login/configured.ts";

const flags = {
  all: boolFlag("Remove all images without a container, not only those without a name", { short: "a" }),
  ...pruneFlags("Remove only what matches (until=TIME, label=...)"),
  volumes: boolFlag("Remove anonymous volumes, too"),
};

export const command = defineCommand({
  name: "system prune",
  usage: "[OPTIONS]",
  summary: "Remove unused data",
  flags,
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  if (values.volumes && values.filter.some((text) => text.startsWith("until=")))
    throw new CliError('ERROR: The "until" filter is not supported with "--volumes"');
  if (!values.force) {
    const { confirm } = await import("../login/prompt.ts");
    if (!(await confirm(warning({ ...values, filter: await withPruneFilters(values.filter) })))) return 0;
  }
  let reclaimed = await prune(client, "containers", values.filter);
  reclaimed += await prune(client, "networks", values.filter);
  if (values.volumes) reclaimed += await prune(client, "volumes", values.filter);
  reclaimed += await prune(client, "images", [...values.filter, `dangling=${!values.all}`]);
  reclaimed += await pruneBuildCache(client, values.filter, values.all);
  await printReclaimed(reclaimed);
  return 0;
}

/** Prunes the build cache. A daemon that cannot build has none. */
async function pruneBuildCache(client: Client, filters: readonly string[], all: boolean): Promise<number> {
  try {
    return await prune(client, "buildCache", filters, { all: all ? "1" : undefined, "keep-storage": "0" });
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 501)) return 0;
    throw error;
  }
}

function warning({ all, volumes, filter }: { all: boolean; volumes: boolean; filter: readonly string[] }): string {
  const lines = [
    "all stopped containers",
    "all networks not used by at least one container",
    ...(volumes ? ["all anonymous volumes not used by at least one container"] : []),
    all ? "all images without at least one container associated to them" : "all dangling images",
    all ? "all build cache" : "unused build cache",
  ];
  const filters =
    filter.length === 0
      ? ""
      : `\n  Items to be pruned will be filtered with:\n${[...filter]
          .sort()
          .map((text) => `  - ${text}\n`)
          .join("")}`;
  return `WARNING! This will remove:\n${lines.map((line) => `  - ${line}\n`).join("")}${filters}\nAre you sure you want to continue?`;
}
