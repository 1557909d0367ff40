import { type Context, defineCommand } from "../command.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { inspect } from "./inspect.ts";

const flags = {
  format: stringFlag('Format: "json" or a Go template', { short: "f" }),
  verbose: boolFlag("Show details for diagnosis", { short: "v" }),
};

export const command = defineCommand({
  name: "network inspect",
  usage: "[OPTIONS] NETWORK [NETWORK...]",
  summary: "Display detailed information on one or more networks",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  return inspect(client, args, { format: values.format, size: false, type: "network", verbose: values.verbose });
}
