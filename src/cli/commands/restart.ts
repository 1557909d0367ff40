import { type Context, defineCommand } from "../command.ts";
import { forEachName } from "../containers/each.ts";
import { intFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { encodeName } from "../http/client.ts";

const flags = {
  signal: stringFlag("Signal to send first", { short: "s" }),
  time: intFlag("Seconds to wait before killing", { short: "t" }),
};

export const command = defineCommand({
  name: "restart",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Restart one or more containers",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, given, args }: ParsedFlags<typeof flags>): Promise<number> {
  const query = {
    signal: values.signal || undefined,
    t: given.has("time") ? String(values.time) : undefined,
  };
  await forEachName(args, (name) => client.postEmpty(`/containers/${encodeName(name)}/restart`, query));
  return 0;
}
