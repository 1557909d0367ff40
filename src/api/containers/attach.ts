/** Attaches clients to a container's streams. */
import type { Socket } from "node:net";
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from "../../base/detach-keys.ts";
import { LighterError } from "../../base/errors.ts";
import { attach as attachTo, isMachine, type PendingAttach } from "../../engine/mod.ts";
import type { StreamCall } from "../http/router.ts";
import type { ClientStream } from "../streams/client-stream.ts";
import { type PumpOptions, pump } from "../streams/pump.ts";
import { parseTail, replayLogs } from "./logs.ts";

/** Whether output is framed: it is unless a terminal made it. The content type that says so exists since API 1.42. */
export function isMultiplexed(tty: boolean, apiMinor: number): boolean {
  return !tty && apiMinor >= 42;
}

/**
 * The detach keys to look for. Only a terminal has them: in a pipe they are ordinary bytes. `what` names them in errors.
 * @throws LighterError "invalid"
 */
export function detachKeysFor(tty: boolean, given: string | undefined, what = "detach"): Uint8Array | undefined {
  const keys = given === undefined ? DEFAULT_DETACH_KEYS : parseDetachKeys(given);
  if (keys === undefined) throw new LighterError("invalid", `Invalid ${what} keys (${given}) provided`);
  return tty ? keys : undefined;
}

/**
 * Lets the process's supervisor write to the client by itself once the stream has begun: that is twice as fast as through this
 * process.
 */
export function outputOf({ socket }: ClientStream, begin: () => void): { output?: () => Socket } {
  if (socket === undefined) return {};
  return {
    output: () => {
      begin();
      return socket;
    },
  };
}

/** POST /containers/{id}/attach */
export async function attach(call: StreamCall): Promise<void> {
  const { query, client } = call;
  try {
    await client.skipBody(); // dockerode's body repeats the parameters
    const asked = (name: string) => query.boolean(name);
    await serveAttach(call, asked, (tty) => client.open(isMultiplexed(tty, call.apiMinor)));
  } catch (error) {
    client.fail(error, "text");
  }
}

/** Serves an attach over any protocol: `asked` says which streams are wanted, `open` begins the client's stream. */
export async function serveAttach(
  call: StreamCall,
  asked: (name: string) => boolean,
  open: (tty: boolean) => void,
): Promise<void> {
  const { daemon, query, client } = call;
  const container = daemon.engine.find(call.parameter("id"));
  const { config, hostConfig } = container.record;
  const tty = config.Tty ?? false;
  const detachKeys = detachKeysFor(tty, query.text("detachKeys"));
  const streams = { stdout: asked("stdout"), stderr: asked("stderr") };
  const stdin = asked("stdin") && ((config.OpenStdin ?? false) || isMachine(hostConfig)); // a console has a keyboard
  // A terminal's input has no end that could be passed on, and a client that detaches ends only its own input.
  const closeStdinOnEnd = !tty && (config.StdinOnce ?? false);
  const logs = query.boolean("logs");
  const begin = () => open(tty);
  const plan = { ...streams, stdin, closeStdinOnEnd, ...(logs ? {} : outputOf(client, begin)) };
  const pending = query.boolean("stream") ? await attachTo(container, call.parameter("id"), plan, begin) : undefined;
  if (pending === undefined) begin();
  if (logs) {
    const format = { ...streams, timestamps: false, tty };
    await replayLogs(client.output, daemon, container, format, parseTail(query));
  }
  const onDetach = () => container.publish("detach");
  if (!pending || !(await joinPending(client, pending, { stdin, closeStdinOnEnd, detachKeys, onDetach })))
    client.close();
}

/** Waits for the process, then pumps until one side ends. Resolves with false if there is no process. */
export async function joinPending(
  client: ClientStream,
  pending: PendingAttach,
  options: Omit<PumpOptions, "exitKnown">,
): Promise<boolean> {
  const { output } = client;
  const cancel = () => pending.cancel();
  // The process gets what the client has sent even if the client does not wait for it to start.
  if (!options.stdin) output.on("close", cancel);
  const attached = await pending.connection;
  output.off("close", cancel);
  if (attached !== undefined) await pump(client, attached.socket, { ...options, exitKnown: attached.exitKnown });
  return attached !== undefined;
}
