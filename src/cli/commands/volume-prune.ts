import { type Context, defineCommand } from "../command.ts";
import { mayPrune, printReclaimed, prune, pruneFlags } from "../containers/prune.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";

const flags = {
  all: boolFlag("Remove volumes with a name, too", { short: "a" }),
  ...pruneFlags("Remove only volumes that match (label=...)"),
};

export const command = defineCommand({
  name: "volume prune",
  usage: "[OPTIONS]",
  summary: "Remove unused local volumes",
  flags,
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  if (values.all && values.filter.some((text) => text.startsWith("all=")))
    throw new CliError("conflicting options: cannot specify both --all and --filter all=1");
  const kind = values.all ? "all local volumes" : "anonymous local volumes";
  if (!(await mayPrune(values.force, `${kind} not used by at least one container`))) return 0;
  const filters = values.all ? [...values.filter, "all=true"] : values.filter;
  await printReclaimed(await prune(client, "volumes", filters));
  return 0;
}
