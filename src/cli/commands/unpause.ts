import { type Context, defineCommand } from "../command.ts";
import { forEachName } from "../containers/each.ts";
import type { FlagTable, ParsedFlags } from "../flags.ts";
import { encodeName } from "../http/client.ts";

export const command = defineCommand({
  name: "unpause",
  usage: "CONTAINER [CONTAINER...]",
  summary: "Unpause all processes within one or more containers",
  flags: {},
  args: { min: 1 },
  offers: "paused",
  run,
});

async function run({ client }: Context, { args }: ParsedFlags<FlagTable>): Promise<number> {
  await forEachName(args, (name) => client.postEmpty(`/containers/${encodeName(name)}/unpause`));
  return 0;
}
