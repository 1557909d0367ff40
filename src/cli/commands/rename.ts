import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import type { FlagTable, ParsedFlags } from "../flags.ts";
import { encodeName } from "../http/client.ts";

export const command = defineCommand({
  name: "rename",
  usage: "CONTAINER NEW_NAME",
  summary: "Rename a container",
  flags: {},
  args: { min: 2, max: 2 },
  run,
});

async function run({ client }: Context, { args }: ParsedFlags<FlagTable>): Promise<number> {
  const [container = "", name = ""] = args.map((arg) => arg.trim());
  if (container === "" || name === "") throw new CliError("Error: Neither old nor new names may be empty");
  try {
    await client.postEmpty(`/containers/${encodeName(container)}/rename`, { name });
  } catch (error) {
    throw new CliError(`${messageOf(error)}\nError: failed to rename container named ${container}`);
  }
  return 0;
}
