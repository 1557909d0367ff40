import { type Context, defineCommand } from "../command.ts";
import { forEachName } from "../containers/each.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import { encodeName, encodeQuery } from "../http/client.ts";

const flags = { force: boolFlag("Remove what the driver would keep; missing volumes are no error", { short: "f" }) };

export const command = defineCommand({
  name: "volume rm",
  usage: "[OPTIONS] VOLUME [VOLUME...]",
  summary: "Remove one or more volumes",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const query = encodeQuery({ force: values.force ? "1" : undefined });
  await forEachName(args, (name) => client.delete(`/volumes/${encodeName(name)}${query}`));
  return 0;
}
