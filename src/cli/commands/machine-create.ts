import { type Context, defineCommand } from "../command.ts";
import type { ParsedFlags } from "../flags.ts";
import { createMachine, machineCreateFlags, machineCreation } from "../machines/create-machine.ts";
import { printLine } from "../output.ts";

export const command = defineCommand({
  name: "machine create",
  ...machineCreation,
  summary: "Create a new machine",
  flags: machineCreateFlags,
  run,
});

async function run({ client }: Context, parsed: ParsedFlags<typeof machineCreateFlags>): Promise<number> {
  await printLine(await createMachine(client, "machine create", parsed));
  return 0;
}
