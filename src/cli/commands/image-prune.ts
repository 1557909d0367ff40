import { type Context, defineCommand } from "../command.ts";
import { encodeFilters, parseFilter } from "../filters.ts";
import { boolFlag, listFlag, type ParsedFlags } from "../flags.ts";
import { stdout } from "../output.ts";
import { formatSize } from "../units.ts";

const flags = {
  all: boolFlag("Remove all images without a container, not only those without a name", { short: "a" }),
  filter: listFlag("Remove only images that match (until=TIME, label=...)", { type: "filter", item: parseFilter }),
  force: boolFlag("Do not ask", { short: "f" }),
};

export const command = defineCommand({
  name: "image prune",
  usage: "[OPTIONS]",
  summary: "Remove unused images",
  flags,
  args: { min: 0, max: 0 },
  run,
});

interface Pruned {
  readonly ImagesDeleted?: readonly { readonly Untagged?: string; readonly Deleted?: string }[] | null;
  readonly SpaceReclaimed: number;
}

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const kind = values.all ? "images without at least one container associated to them" : "dangling images";
  if (!values.force) {
    const { confirm } = await import("../prompt.ts");
    if (!(await confirm(`WARNING! This will remove all ${kind}.\nAre you sure you want to continue?`))) return 0;
  }
  const filters = encodeFilters([...values.filter, `dangling=${!values.all}`]);
  const { ImagesDeleted, SpaceReclaimed } = await client.postJson<Pruned>("/images/prune", { filters });
  const deleted = (ImagesDeleted ?? []).map(({ Untagged, Deleted }) =>
    Untagged ? `untagged: ${Untagged}\n` : `deleted: ${Deleted}\n`,
  );
  const list = deleted.length === 0 ? "" : `Deleted Images:\n${deleted.join("")}\n`;
  await stdout.text(`${list}Total reclaimed space: ${formatSize(SpaceReclaimed)}\n`);
  return 0;
}
