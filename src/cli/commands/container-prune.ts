import { type Context, defineCommand } from "../command.ts";
import { mayPrune, printReclaimed, prune, pruneFlags } from "../containers/prune.ts";
import type { ParsedFlags } from "../flags.ts";

const flags = pruneFlags("Remove only containers that match (until=TIME, label=...)");

export const command = defineCommand({
  name: "container prune",
  usage: "[OPTIONS]",
  summary: "Remove all stopped containers",
  flags,
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  if (!(await mayPrune(values.force, "all stopped containers"))) return 0;
  await printReclaimed(await prune(client, "containers", values.filter));
  return 0;
}
