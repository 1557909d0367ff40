import { type Context, defineCommand } from "../command.ts";
import { mayPrune, printReclaimed, prune, pruneFlags } from "../containers/prune.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";

const flags = {
  all: boolFlag("Remove all images without a container, not only those without a name", { short: "a" }),
  ...pruneFlags("Remove only images that match (until=TIME, label=...)"),
};

export const command = defineCommand({
  name: "image prune",
  usage: "[OPTIONS]",
  summary: "Remove unused images",
  flags,
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const kind = values.all ? "images without at least one container associated to them" : "dangling images";
  if (!(await mayPrune(values.force, `all ${kind}`))) return 0;
  await printReclaimed(await prune(client, "images", [...values.filter, `dangling=${!values.all}`]));
  return 0;
}
