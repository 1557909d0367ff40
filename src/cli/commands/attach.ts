import { type Context, defineCommand } from "../command.ts";
import { beginWait } from "../containers/wait.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { encodeName } from "../http/client.ts";
import { configuredDetachKeys } from "../login/configured.ts";
import { followWindowSize, forwardSignals } from "../streams/signals.ts";
import { requestAttach, streamAttached } from "../streams/stream.ts";

const flags = {
  "detach-keys": stringFlag("Keys that leave the container running (ctrl-p,ctrl-q)"),
  "no-stdin": boolFlag("Do not attach stdin"),
  "sig-proxy": boolFlag("Pass signals on to the container's process", { initial: true }),
};

export const command = defineCommand({
  name: "attach",
  usage: "[OPTIONS] CONTAINER",
  summary: "Attach local standard input, output and error to a running container",
  flags,
  args: { min: 1, max: 1 },
  offers: "running",
  run,
});

interface Inspected {
  readonly Id: string;
  readonly Config: { readonly Tty: boolean; readonly OpenStdin: boolean };
  readonly State: { readonly Running: boolean; readonly Paused: boolean; readonly Restarting: boolean };
}

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const { Id, Config, State } = await client.get<Inspected>(`/containers/${encodeName(args[0] ?? "")}/json`);
  if (!State.Running) throw new CliError("You cannot attach to a stopped container, start it first");
  if (State.Paused) throw new CliError("You cannot attach to a paused container, unpause it first");
  if (State.Restarting) throw new CliError("You cannot attach to a restarting container, wait until it is running");
  const detachKeys = await configuredDetachKeys(values["detach-keys"]);
  const stdin = !values["no-stdin"] && Config.OpenStdin;
  if (stdin && Config.Tty) (await import("../streams/tty-check.ts")).checkInputIsTerminal();
  const stopForwarding = values["sig-proxy"] && !Config.Tty ? forwardSignals(client, Id, false) : () => {};
  const [attached, wait] = await Promise.all([
    requestAttach(client, Id, { stdin, stdout: true, stderr: true, detachKeys }),
    beginWait(client, Id, "not-running"),
  ]);
  const stopFollowing = Config.Tty ? await followWindowSize(client, `/containers/${Id}/resize`, true) : () => {};
  const how = await streamAttached(attached, {
    stdin,
    output: true,
    tty: Config.Tty,
    detachKeys,
  });
  stopFollowing();
  stopForwarding();
  if (how === "detached") throw new CliError("read escape sequence");
  return wait.exitCode;
}
