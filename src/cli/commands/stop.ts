import { type Context, defineCommand } from "../command.ts";
import { forEachName } from "../containers/each.ts";
import { intFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { encodeName } from "../http/client.ts";

const flags = {
  signal: stringFlag("Signal to send first", { short: "s" }),
  time: intFlag("Seconds to wait before killing", { short: "t" }),
};

export const command = defineCommand({
  name: "stop",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Stop one or more running containers",
  flags,
  args: { min: 1 },
  offers: "running",
  run,
});

async function run({ client }: Context, { values, given, args }: ParsedFlags<typeof flags>): Promise<number> {
  const query = {
    signal: values.signal || undefined,
    t: given.has("time") ? String(values.time) : undefined,
  };
  await forEachName(args, (name) => client.postEmpty(`/containers/${encodeName(name)}/stop`, query));
  return 0;
}
