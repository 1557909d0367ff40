/**
 * `run`: creates, attaches, waits and starts. With Lighter's own daemon most runs are one request instead
 * (containers/run-at-once.ts).
 */
import { type Context, defineCommand } from "../command.ts";
import type { ContainerBody } from "../containers/container-config.ts";
import { createFlags } from "../containers/container-flags.ts";
import { bodyFromFlags, createContainer } from "../containers/create.ts";
import { runAtOnce } from "../containers/run-at-once.ts";
import { beginWait } from "../containers/wait.ts";
import { CliError, runErrorText, runExitCode } from "../exit.ts";
import { boolFlag, type FlagValues, type ParsedFlags, stringFlag } from "../flags.ts";
import type { Client } from "../http/client.ts";
import { configuredDetachKeys } from "../login/configured.ts";
import { printLine } from "../output.ts";
import { followWindowSize, forwardSignals } from "../streams/signals.ts";
import { requestAttach, streamAttached } from "../streams/stream.ts";

export const flags = {
  ...createFlags,
  detach: boolFlag("Run in the background and print the container's ID", { short: "d" }),
  "detach-keys": stringFlag("Keys that leave the container running (ctrl-p,ctrl-q)"),
  "sig-proxy": boolFlag("Pass signals on to the container's process", { initial: true }),
  trace: boolFlag("Print, after the run, how long each part of the start took"),
  "trace-output": stringFlag("Write that to a file, as an OpenTelemetry collector gets it", { type: "FILE" }),
};
type RunFlags = FlagValues<typeof flags>;

export const command = defineCommand({
  name: "run",
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  summary: "Create and run a new container from an image",
  flags,
  args: { min: 1 },
  interspersed: false,
  run,
});

async function run({ client }: Context, parsed: ParsedFlags<typeof flags>): Promise<number> {
  const { trace, "trace-output": path } = parsed.values;
  if (!trace && path === "") return await runContainer(client, parsed);
  const { showTrace, traceRequests } = await import("../containers/trace.ts");
  const traceId = traceRequests(client);
  try {
    return await runContainer(client, parsed);
  } finally {
    await showTrace(client, traceId, path);
  }
}

async function runContainer(client: Client, parsed: ParsedFlags<typeof flags>): Promise<number> {
  const values = parsed.values;
  const connected = client.warm(); // connects while the flags are parsed
  const body = bodyFromFlags("run", values, parsed);
  if (values.detach) {
    if (values.attach.length > 0) throw new CliError("Conflicting options: -a and -d");
    Object.assign(body, { AttachStdin: false, AttachStdout: false, AttachStderr: false, StdinOnce: false });
  }
  if (body.Tty) {
    const tty = await import("../streams/tty-check.ts");
    if (body.AttachStdin) tty.checkInputIsTerminal();
    body.HostConfig.ConsoleSize = tty.consoleSize();
  }
  const code = await runAtOnce(client, connected, body, values);
  if (code !== undefined) return code;
  const creating = createContainer(client, body, values).catch((error: unknown) => {
    throw new CliError(runErrorText("run", error, true), runExitCode(error));
  });
  creating.catch(() => {}); // awaited below
  return body.AttachStdin || body.AttachStdout || body.AttachStderr
    ? await runAttached(client, creating, body, values)
    : await runDetached(client, creating, body, values);
}

async function runDetached(
  client: Client,
  creating: Promise<string>,
  body: ContainerBody,
  values: RunFlags,
): Promise<number> {
  if (values["sig-proxy"] && !values.detach) forwardSignals(client, creating, body.Tty);
  const id = await creating;
  try {
    await start(client, id); // first: nobody may be there any more to read the ID
  } finally {
    await printLine(id);
  }
  return 0;
}

async function runAttached(
  client: Client,
  creating: Promise<string>,
  body: ContainerBody,
  values: RunFlags,
): Promise<number> {
  if (values["sig-proxy"]) forwardSignals(client, creating, body.Tty); // until we exit
  const hasOutput = body.AttachStdout || body.AttachStderr;
  const detachKeys = await configuredDetachKeys(values["detach-keys"]);
  const id = await creating;
  if (!hasOutput) await printLine(id);
  const streams = { stdin: body.AttachStdin, stdout: body.AttachStdout, stderr: body.AttachStderr, detachKeys };
  const [attached, wait] = await Promise.all([
    requestAttach(client, id, streams),
    beginWait(client, id, values.rm ? "removed" : "next-exit"),
  ]);
  const session = streamAttached(attached, {
    stdin: body.AttachStdin,
    output: hasOutput,
    tty: body.Tty,
    detachKeys,
  });
  session.catch(() => {}); // awaited below, but a failed start comes first
  try {
    await start(client, id);
  } catch (error) {
    attached.connection.close();
    await session.catch(() => {}); // restores the terminal before the message is printed
    if (values.rm) await wait.exitCode; // the daemon removes the container; its name is free when we return
    throw error;
  }
  const stopFollowing = body.Tty ? await followWindowSize(client, `/containers/${id}/resize`) : () => {};
  const how = await session;
  stopFollowing();
  if (how === "detached" || !hasOutput) return 0;
  return wait.exitCode;
}

/**
 * Starts the container.
 * @throws CliError with the exit code that fits the reason
 */
async function start(client: Client, id: string): Promise<void> {
  try {
    await client.postEmpty(`/containers/${id}/start`);
  } catch (error) {
    throw new CliError(runErrorText("run", error, false), runExitCode(error));
  }
}
