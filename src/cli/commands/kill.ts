import { type Context, defineCommand } from "../command.ts";
import { forEachName } from "../containers/each.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { encodeName } from "../http/client.ts";

const flags = { signal: stringFlag("Signal to send", { short: "s" }) };

export const command = defineCommand({
  name: "kill",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Kill one or more running containers",
  flags,
  args: { min: 1 },
  offers: "running",
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const query = { signal: values.signal || undefined };
  await forEachName(args, (name) => client.postEmpty(`/containers/${encodeName(name)}/kill`, query));
  return 0;
}
