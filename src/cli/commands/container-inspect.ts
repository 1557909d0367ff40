import { type Context, defineCommand } from "../command.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { inspect } from "./inspect.ts";

const flags = {
  format: stringFlag('Format: "json" or a Go template', { short: "f" }),
  size: boolFlag("Show the size of files", { short: "s" }),
};

export const command = defineCommand({
  name: "container inspect",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Display detailed information on one or more containers",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  return inspect(client, args, { ...values, type: "container" });
}
