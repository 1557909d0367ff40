import { type Context, defineCommand } from "../command.ts";
import { boolFlag, intFlag, type ParsedFlags } from "../flags.ts";
import { configuredDetachKeys } from "../login/configured.ts";
import { createMachine, machineCreateFlags, machineCreation } from "../machines/create-machine.ts";
import { loginShell } from "../machines/login-shell.ts";
import { inspectMachine } from "../machines/machine.ts";
import { startAndWait } from "../machines/start-machine.ts";
import { printLine } from "../output.ts";
import { inputIsTerminal } from "../streams/tty-check.ts";

const flags = {
  ...machineCreateFlags,
  detach: boolFlag("Print the machine's name when it runs, and open no shell", { short: "d" }),
  timeout: intFlag("Seconds to wait until it runs; 0: no limit"),
};

export const command = defineCommand({
  name: "machine launch",
  ...machineCreation,
  summary: "Create a machine, start it, and on a terminal open a shell in it when it runs",
  flags,
  run,
});

async function run({ client }: Context, parsed: ParsedFlags<typeof flags>): Promise<number> {
  const { detach, timeout } = parsed.values;
  const id = await createMachine(client, "machine launch", parsed);
  const name = (await inspectMachine(client, id)).Name.replace(/^\//, "");
  await startAndWait(client, name, timeout);
  if (!detach && inputIsTerminal()) return loginShell(client, id, "root", [], await configuredDetachKeys(""));
  await printLine(name);
  return 0;
}
