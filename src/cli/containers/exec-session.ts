/** Runs a command in a container, with our own stdio attached. */
import { ApiError, CliError } from "../exit.ts";
import { type Client, encodeName, parseJson } from "../http/client.ts";
import type { Response } from "../http/http.ts";
import { followWindowSize } from "../streams/signals.ts";
import { type OwnMessage, streamAttached } from "../streams/stream.ts";

interface ExecSession {
  readonly argv: readonly string[];
  readonly user: string;
  readonly env: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly detach: boolean;
  readonly detachKeys: string;
  readonly privileged?: boolean;
  readonly workdir?: string;
}

/**
 * Runs it and returns its exit code, or 0 with `detach`.
 * @throws CliError when the detach keys were typed
 */
export async function runExec(client: Client, name: string, session: ExecSession): Promise<number> {
  const { tty, stdin, detach, detachKeys, env } = session;
  const consoleSize = tty ? await prepareTerminal(client, name, stdin) : undefined;
  const body = {
    User: session.user,
    Privileged: session.privileged ?? false,
    Tty: tty,
    ...(consoleSize === undefined ? {} : { ConsoleSize: consoleSize }),
    AttachStdin: stdin,
    AttachStderr: !detach,
    AttachStdout: !detach,
    Detach: detach,
    DetachKeys: detachKeys,
    Env: env.length === 0 ? null : env,
    WorkingDir: session.workdir ?? "",
    Cmd: session.argv,
  };
  if (client.host.mayBeOurs && !tty && !detach) {
    const code = await runAtOnce(client, name, stdin, JSON.stringify(body));
    if (code !== undefined) return code;
  }
  const { Id } = await client.postJson<{ Id: string }>(`/containers/${encodeName(name)}/exec`, {}, body);
  const start = { Detach: detach, Tty: tty, ...(consoleSize ? { ConsoleSize: consoleSize } : {}) };
  if (detach) {
    await client.postEmpty(`/exec/${Id}/start`, {}, start);
    return 0;
  }
  const response = await client.request({
    method: "POST",
    path: `/exec/${Id}/start`,
    json: JSON.stringify(start),
    upgrade: true,
  });
  const stopFollowing = tty ? await followWindowSize(client, `/exec/${Id}/resize`) : () => {};
  const how = await streamAttached(response, { stdin, output: true, tty, detachKeys });
  stopFollowing();
  if (how === "detached") throw new CliError("read escape sequence");
  const { ExitCode } = await client.get<{ ExitCode: number | null }>(`/exec/${Id}/json`);
  return ExitCode ?? 0;
}

/**
 * Runs it by one request, where Docker's API needs three that wait for one another. Undefined if the daemon has no such container, or
 * no such route: the ordinary way says so in its own words.
 */
async function runAtOnce(client: Client, name: string, stdin: boolean, json: string): Promise<number | undefined> {
  let response: Response;
  try {
    const path = `/lighter/containers/${encodeName(name)}/exec`;
    response = await client.request({ method: "POST", path, json, upgrade: true });
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
  let exitCode: number | undefined;
  const onMessage = ({ text }: OwnMessage) => {
    exitCode = parseJson<{ StatusCode: number }>(text).StatusCode;
  };
  await streamAttached(response, { stdin, output: true, tty: false, detachKeys: "", onMessage });
  if (exitCode === undefined) throw new CliError("error waiting for the command: the daemon closed the connection");
  return exitCode;
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
