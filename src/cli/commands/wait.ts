import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import type { FlagTable, ParsedFlags } from "../flags.ts";
import { encodeName } from "../http/client.ts";
import { printLine } from "../output.ts";

export const command = defineCommand({
  name: "wait",
  usage: "CONTAINER [CONTAINER...]",
  summary: "Block until one or more containers stop, then print their exit codes",
  flags: {},
  args: { min: 1 },
  run,
});

interface WaitAnswer {
  readonly StatusCode: number;
  readonly Error?: { readonly Message?: string } | null;
}

async function run({ client }: Context, { args }: ParsedFlags<FlagTable>): Promise<number> {
  const failures: string[] = [];
  for (const name of args) {
    try {
      const answer = await client.postJson<WaitAnswer>(`/containers/${encodeName(name)}/wait`);
      if (answer.Error?.Message) throw new Error(answer.Error.Message);
      await printLine(String(answer.StatusCode));
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  if (failures.length > 0) throw new CliError(failures.join("\n"));
  return 0;
}
