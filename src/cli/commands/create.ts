import { type Context, defineCommand } from "../command.ts";
import { createFlags } from "../containers/container-flags.ts";
import { bodyFromFlags, createContainer } from "../containers/create.ts";
import type { ParsedFlags } from "../flags.ts";
import { printLine } from "../output.ts";

export const command = defineCommand({
  name: "create",
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  summary: "Create a new container",
  flags: createFlags,
  args: { min: 1 },
  interspersed: false,
  run,
});

async function run({ client }: Context, parsed: ParsedFlags<typeof createFlags>): Promise<number> {
  const body = bodyFromFlags("create", parsed.values, parsed);
  if (body.Tty) body.HostConfig.ConsoleSize = (await import("../streams/tty-check.ts")).consoleSize();
  await printLine(await createContainer(client, body, parsed.values));
  return 0;
}
