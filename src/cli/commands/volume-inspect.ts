import { type Context, defineCommand } from "../command.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { inspect } from "./inspect.ts";

const flags = { format: stringFlag('Format: "json" or a Go template', { short: "f" }) };

export const command = defineCommand({
  name: "volume inspect",
  usage: "[OPTIONS] VOLUME [VOLUME...]",
  summary: "Display detailed information on one or more volumes",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  return inspect(client, args, { format: values.format, size: false, type: "volume" });
}
