import { type Context, defineCommand } from "../command.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { useConsole } from "../machines/console.ts";
import { runningMachine } from "../machines/machine.ts";
import { printError } from "../output.ts";
import { inputIsTerminal } from "../streams/tty-check.ts";

const flags = { "detach-keys": stringFlag("Keys that leave the console", { initial: "ctrl-a,q" }) };

export const command = defineCommand({
  name: "machine console",
  usage: "[OPTIONS] MACHINE",
  summary: "Use a machine's console",
  details:
    "The session goes on when the machine reboots, or the daemon is started anew. Any number of users may share a console.",
  flags,
  args: { min: 1, max: 1 },
  offers: "running",
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const name = args[0] ?? "";
  const machine = await runningMachine(client, name);
  const keys = values["detach-keys"];
  if (inputIsTerminal())
    await printError(`This is the console of ${name}. To leave it, type ${keys.replaceAll(",", " ")}.`);
  if ((await useConsole(client, machine, keys)) === "off") await printError(`machine ${name} is off`);
  return 0;
}
