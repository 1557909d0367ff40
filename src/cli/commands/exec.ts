import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { type Client, encodeName } from "../http/client.ts";
import { configuredDetachKeys } from "../login/configured.ts";
import { followWindowSize } from "../streams/signals.ts";
import { streamAttached } from "../streams/stream.ts";
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
  const attach = !values.detach;
  const detachKeys = await configuredDetachKeys(values["detach-keys"]);
  const stdin = attach && values.interactive;
  const env = [...values["env-file"].flatMap((path) => readEnvFile(path)), ...values.env];
  const consoleSize = values.tty ? await prepareTerminal(client, name, stdin) : undefined;
  const { Id } = await client.postJson<{ Id: string }>(
    `/containers/${encodeName(name)}/exec`,
    {},
    {
      User: values.user,
      Privileged: values.privileged,
      Tty: values.tty,
      ...(consoleSize === undefined ? {} : { ConsoleSize: consoleSize }),
      AttachStdin: stdin,
      AttachStderr: attach,
      AttachStdout: attach,
      Detach: values.detach,
      DetachKeys: detachKeys,
      Env: env.length === 0 ? null : env,
      WorkingDir: values.workdir,
      Cmd: argv,
    },
  );
  const start = { Detach: values.detach, Tty: values.tty, ...(consoleSize ? { ConsoleSize: consoleSize } : {}) };
  if (values.detach) {
    await client.postEmpty(`/exec/${Id}/start`, {}, start);
    return 0;
  }
  const response = await client.request({
    method: "POST",
    path: `/exec/${Id}/start`,
    json: JSON.stringify(start),
    upgrade: true,
  });
  const stopFollowing = values.tty ? await followWindowSize(client, `/exec/${Id}/resize`) : () => {};
  const how = await streamAttached(response, {
    stdin,
    output: true,
    tty: values.tty,
    detachKeys,
  });
  stopFollowing();
  if (how === "detached") throw new CliError("read escape sequence");
  const { ExitCode } = await client.get<{ ExitCode: number | null }>(`/exec/${Id}/json`);
  return ExitCode ?? 0;
}

/** Returns the size of our terminal. Looks up the container first: that it is missing is the more useful error. */
async function prepareTerminal(client: Client, name: string, stdin: boolean): Promise<[number, number]> {
  const tty = await import("../streams/tty-check.ts");
  if (stdin && !tty.inputIsTerminal()) {
    await client.getText(`/containers/${encodeName(name)}/json`);
    tty.checkInputIsTerminal();
  }
  return tty.consoleSize();
}
