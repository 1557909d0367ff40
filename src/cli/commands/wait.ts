import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { encodeName } from "../http/client.ts";
import { printLine } from "../output.ts";

const flags = {
  condition: stringFlag("What to wait for: not-running, next-exit, removed or running", { initial: "not-running" }),
};

export const command = defineCommand({
  name: "wait",
  usage: "CONTAINER [CONTAINER...]",
  summary: "Block until one or more containers stop, then print their exit codes",
  flags,
  args: { min: 1 },
  run,
});

interface WaitAnswer {
  readonly StatusCode: number;
  readonly Error?: { readonly Message?: string } | null;
}

async function run({ client }: Context, { values, given, args }: ParsedFlags<typeof flags>): Promise<number> {
  const query = given.has("condition") ? { condition: values.condition } : {};
  const failures: string[] = [];
  for (const name of args) {
    try {
      const answer = await client.postJson<WaitAnswer>(`/containers/${encodeName(name)}/wait`, query);
      if (answer.Error?.Message) throw new Error(answer.Error.Message);
      await printLine(String(answer.StatusCode));
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  if (failures.length > 0) throw new CliError(failures.join("\n"));
  return 0;
}
