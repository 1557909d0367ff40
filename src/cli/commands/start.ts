import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { beginWait } from "../containers/wait.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type FlagValues, intFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { type Client, encodeName } from "../http/client.ts";
import { configuredDetachKeys } from "../login/configured.ts";
import { printError, printLine } from "../output.ts";
import { followWindowSize, forwardSignals } from "../streams/signals.ts";
import { requestAttach, streamAttached } from "../streams/stream.ts";

const flags = {
  attach: boolFlag("Attach stdout and stderr and pass signals on", { short: "a" }),
  "detach-keys": stringFlag("Keys that leave the container running (ctrl-p,ctrl-q)"),
  interactive: boolFlag("Attach stdin", { short: "i" }),
  timeout: intFlag("With --wait: seconds after which it has failed; 0: no limit"),
  wait: boolFlag("Wait until it runs; a machine runs when its init says that it is up"),
};

export const command = defineCommand({
  name: "start",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Start one or more stopped containers",
  flags,
  args: { min: 1 },
  offers: "stopped",
  run,
});

interface Inspected {
  readonly Id: string;
  readonly Config: { readonly Tty: boolean; readonly OpenStdin: boolean };
  readonly HostConfig: { readonly AutoRemove: boolean };
}

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  if (!values.attach && !values.interactive) return startAll(client, args, values);
  if (values.wait) throw new CliError("Conflicting options: --wait and --attach or --interactive");
  if (args.length > 1) throw new CliError("you cannot start and attach multiple containers at once");
  const { Id, Config, HostConfig } = await client.get<Inspected>(`/containers/${encodeName(args[0] ?? "")}/json`);
  const stopForwarding = Config.Tty ? () => {} : forwardSignals(client, Id, false);
  const detachKeys = await configuredDetachKeys(values["detach-keys"]);
  const stdin = values.interactive && Config.OpenStdin;
  const [attached, wait] = await Promise.all([
    requestAttach(client, Id, { stdin, stdout: true, stderr: true, detachKeys }),
    beginWait(client, Id, HostConfig.AutoRemove ? "removed" : "next-exit"),
  ]);
  const streams = { stdin, output: true, tty: Config.Tty, detachKeys };
  const session = streamAttached(attached, streams);
  session.catch(() => {}); // awaited below, but a failed start comes first
  try {
    await client.postEmpty(`/containers/${Id}/start`);
  } catch (error) {
    attached.connection.close();
    await session.catch(() => {}); // the start's own error is to be told
    if (HostConfig.AutoRemove) await wait.exitCode;
    throw error;
  }
  const stopFollowing = Config.Tty ? await followWindowSize(client, `/containers/${Id}/resize`) : () => {};
  const how = await session;
  stopFollowing();
  const exitCode = how === "detached" ? 0 : await wait.exitCode;
  stopForwarding();
  return exitCode;
}

async function startAll(
  client: Client,
  names: readonly string[],
  { wait, timeout }: FlagValues<typeof flags>,
): Promise<number> {
  const start = wait
    ? async (name: string) => (await import("../machines/start-machine.ts")).startAndWait(client, name, timeout)
    : (name: string) => client.postEmpty(`/containers/${encodeName(name)}/start`);
  const failed: string[] = [];
  for (const name of names) {
    try {
      await start(name);
      await printLine(name);
    } catch (error) {
      await printError(messageOf(error));
      failed.push(name);
    }
  }
  if (failed.length > 0) throw new CliError(`Error: failed to start containers: ${failed.join(", ")}`);
  return 0;
}
