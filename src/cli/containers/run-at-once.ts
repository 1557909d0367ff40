/** `run` as one request to Lighter's own daemon. */
import { ApiError, CliError, EXIT_NOT_RUN, runErrorText, runExitCode } from "../exit.ts";
import { type Client, encodeQuery, parseJson } from "../http/client.ts";
import type { Response } from "../http/http.ts";
import { printError } from "../output.ts";
import { forwardSignals } from "../streams/signals.ts";
import { type OwnMessage, streamAttached } from "../streams/stream.ts";
import type { ContainerBody } from "./container-config.ts";
import type { CreateFlagValues } from "./container-flags.ts";

/**
 * Runs a container by one request, POST /lighter/run, where Docker's API needs four that wait for one another. Returns
 * undefined, having done nothing, if this run or this daemon does not allow it, or if the image is missing. `connected`
 * settles when the client has a connection.
 */
export async function runAtOnce(
  client: Client,
  connected: Promise<void>,
  body: ContainerBody,
  flags: CreateFlagValues & { "sig-proxy": boolean },
): Promise<number | undefined> {
  if (!client.host.mayBeOurs || !isPlain(body, flags)) return undefined;
  const created = Promise.withResolvers<string>();
  created.promise.catch(() => {}); // rejected if the container was not created
  const asking = ask(client, body, flags);
  asking.catch(() => {}); // awaited below
  // The request is sent first.
  await connected;
  await new Promise(setImmediate);
  if (flags["sig-proxy"]) forwardSignals(client, created.promise, false); // until we exit
  const response = await asking.catch((error: unknown) => {
    created.reject(error);
    throw new CliError(runErrorText("run", error, true), runExitCode(error));
  });
  if (response === undefined) {
    created.reject(new Error("not run at once"));
    return undefined;
  }
  return await follow(response, body, created.resolve);
}

/**
 * Whether a run needs no more than waiting: a terminal is more work, and a pull or an ID file comes before or after the
 * creation.
 */
function isPlain(body: ContainerBody, flags: CreateFlagValues): boolean {
  return (
    !body.Tty &&
    (body.AttachStdout || body.AttachStderr) &&
    flags.cidfile === "" &&
    flags.platform === "" &&
    flags.pull !== "always" &&
    !(body.HostConfig.OomKillDisable && body.HostConfig.Memory === 0) &&
    body.HostConfig.Dns.length === 0
  );
}

async function ask(client: Client, body: ContainerBody, flags: CreateFlagValues): Promise<Response | undefined> {
  const query = encodeQuery({
    name: flags.name || undefined,
    stdin: body.AttachStdin ? "1" : undefined,
    stdout: body.AttachStdout ? "1" : undefined,
    stderr: body.AttachStderr ? "1" : undefined,
  });
  try {
    return await client.request({
      method: "POST",
      path: `/lighter/run${query}`,
      json: JSON.stringify(body),
      upgrade: true,
    });
  } catch (error) {
    // The daemon has no such route, no such image or no image of that name; the ordinary way reports this in its own
    // words.
    if (error instanceof ApiError && (error.status === 404 || error.message.includes("invalid reference format")))
      return undefined;
    throw error;
  }
}

async function follow(response: Response, body: ContainerBody, onCreated: (id: string) => void): Promise<number> {
  let exitCode: number | undefined;
  let failure: string | undefined;
  const onMessage = async ({ kind, text }: OwnMessage) => {
    if (kind === "created") {
      const { Id, Warnings } = parseJson<{ Id: string; Warnings: string[] }>(text);
      onCreated(Id);
      for (const warning of Warnings) await printError(`WARNING: ${warning}`);
    } else if (kind === "exited") exitCode = parseJson<{ StatusCode: number }>(text).StatusCode;
    else failure = parseJson<{ message: string }>(text).message;
  };
  await streamAttached(response, { stdin: body.AttachStdin, output: true, tty: false, detachKeys: "", onMessage });
  if (failure !== undefined) {
    const error = new ApiError(0, `Error response from daemon: ${failure}`);
    throw new CliError(runErrorText("run", error, false), runExitCode(error));
  }
  if (exitCode !== undefined) return exitCode;
  await printError("error waiting for container: the daemon closed the connection");
  return EXIT_NOT_RUN;
}
