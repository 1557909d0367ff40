import { type Context, defineCommand } from "../command.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { configuredDetachKeys } from "../login/configured.ts";
import { loginShell } from "../machines/login-shell.ts";
import { runningMachine } from "../machines/machine.ts";

const flags = {
  "detach-keys": stringFlag("Keys that leave the shell running (ctrl-p,ctrl-q)"),
  user: stringFlag("User to log in", { short: "u", initial: "root" }),
};

export const command = defineCommand({
  name: "machine shell",
  usage: "[OPTIONS] MACHINE [COMMAND] [ARG...]",
  summary: "Open a login shell in a running machine, or run a command in one",
  flags,
  args: { min: 1 },
  offers: "running",
  interspersed: false,
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [name = "", ...argv] = args;
  const { Id } = await runningMachine(client, name);
  return loginShell(client, Id, values.user, argv, await configuredDetachKeys(values["detach-keys"]));
}
