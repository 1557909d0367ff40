import { type Context, defineCommand } from "../command.ts";
import { mayPrune, prune, pruneFlags } from "../containers/prune.ts";
import type { ParsedFlags } from "../flags.ts";

const flags = pruneFlags("Remove only networks that match (until=TIME, label=...)");

export const command = defineCommand({
  name: "network prune",
  usage: "[OPTIONS]",
  summary: "Remove all unused networks",
  flags,
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  if (await mayPrune(values.force, "all custom networks not used by at least one container"))
    await prune(client, "networks", values.filter);
  return 0;
}
