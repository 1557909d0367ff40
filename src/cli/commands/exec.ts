import { type Context, defineCommand } from "../command.ts";
import { runExec } from "../containers/exec-session.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { configuredDetachKeys } from "../login/configured.ts";
import { parseEnvFlag, readEnvFile } from "../values/env-file.ts";

const flags = {
  detach: boolFlag("Run in the background", { short: "d" }),
  "detach-keys": stringFlag("Keys that leave the command running (ctrl-p,ctrl-q)"),
  env: listFlag("Environment variable (K=V, or K to pass ours on)", { short: "e", item: (text) => parseEnvFlag(text) }),
  "env-file": listFlag("Read environment variables from a file"),
  interactive: boolFlag("Keep stdin open even if not attached", { short: "i" }),
  privileged: boolFlag("Give nearly all privileges of the host"),
  tty: boolFlag("Give the command a terminal", { short: "t" }),
  user: stringFlag("User to run as (<name|uid>[:<group|gid>])", { short: "u" }),
  workdir: stringFlag("Working directory inside", { short: "w" }),
};

export const command = defineCommand({
  name: "exec",
  usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
  summary: "Execute a command in a running container",
  flags,
  args: { min: 2 },
  offers: "running",
  interspersed: false,
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [name = "", ...argv] = args;
  const { detach, tty, user, privileged, workdir } = values;
  return runExec(client, name, {
    argv,
    user,
    env: [...values["env-file"].flatMap((path) => readEnvFile(path)), ...values.env],
    tty,
    stdin: !detach && values.interactive,
    detach,
    detachKeys: await configuredDetachKeys(values["detach-keys"]),
    privileged,
    workdir,
  });
}
