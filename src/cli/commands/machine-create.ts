import { type Context, defineCommand } from "../command.ts";
import type { ParsedFlags } from "../flags.ts";
import { createMachine, machineCreateFlags } from "../machines/create-machine.ts";
import { printLine } from "../output.ts";

export const command = defineCommand({
  name: "machine create",
  usage: "[OPTIONS] IMAGE [NAME] [INIT] [ARG...]",
  summary: "Create a new machine",
  details: `A missing image of Debian or Ubuntu (debian:trixie) is made with this host's mmdebstrap or debootstrap.
The machine's host name is its NAME. INIT replaces /sbin/init; arguments that begin with a dash come after "--".`,
  flags: machineCreateFlags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, parsed: ParsedFlags<typeof machineCreateFlags>): Promise<number> {
  await printLine(await createMachine(client, "machine create", parsed));
  return 0;
}
