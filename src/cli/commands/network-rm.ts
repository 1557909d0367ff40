import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { ApiError } from "../exit.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import { encodeName } from "../http/client.ts";
import { printError, printLine } from "../output.ts";

const flags = { force: boolFlag("Do not complain about a network that is missing", { short: "f" }) };

export const command = defineCommand({
  name: "network rm",
  usage: "NETWORK [NETWORK...]",
  summary: "Remove one or more networks",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  let failed = false;
  for (const name of args) {
    try {
      await client.delete(`/networks/${encodeName(name)}`);
      await printLine(name);
    } catch (error) {
      if (values.force && error instanceof ApiError && error.status === 404) continue;
      await printError(messageOf(error));
      failed = true;
    }
  }
  return failed ? 1 : 0;
}
