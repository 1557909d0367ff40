import type { Socket } from "node:net";
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from "../../base/detach-keys.ts";
import { LighterError } from "../../base/errors.ts";
import { attach as attachTo, type PendingAttach } from "../../engine/mod.ts";
import type { StreamCall } from "../http/router.ts";
import type { ClientStream } from "../streams/client-stream.ts";
import { type PumpOptions, pump } from "../streams/pump.ts";
import { replayLogs } from "./logs.ts";

/** Output is framed unless a terminal made it. The content type that says so is of API 1.42. */
export function isMultiplexed(tty: boolean, apiMinor: number): boolean {
  return !tty && apiMinor >= 42;
}

/** Detach keys are a terminal's: in a pipe they are bytes like others. `what`: as an error has it. @throws LighterError "invalid" */
export function detachKeysFor(tty: boolean, given: string | undefined, what = "detach"): Uint8Array | undefined {
  const keys = given === undefined ? DEFAULT_DETACH_KEYS : parseDetachKeys(given);
  if (keys === undefined) throw new LighterError("invalid", `Invalid ${what} keys (${given}) provided`);
  return tty ? keys : undefined;
}

/** Where the process's supervisor can write by itself, once the stream has begun: twice as fast as by way of us. */
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
    await client.skipBody(); // dockerode's are the parameters once more
    const asked = (name: string) => query.boolean(name);
    await serveAttach(call, asked, (tty) => client.open(isMultiplexed(tty, call.apiMinor)));
  } catch (error) {
    client.fail(error, "text");
  }
}

/** An attach in whatever protocol: `asked` says which streams are wanted, `open` begins the client's stream. */
export async function serveAttach(
  call: StreamCall,
  asked: (name: string) => boolean,
  open: (tty: boolean) => void,
): Promise<void> {
  const { daemon, query, client } = call;
  const container = daemon.engine.find(call.parameter("id"));
  const { config } = container.record;
  const tty = config.Tty ?? false;
  const detachKeys = detachKeysFor(tty, query.text("detachKeys"));
  const streams = { stdout: asked("stdout"), stderr: asked("stderr") };
  const stdin = asked("stdin") && (config.OpenStdin ?? false);
  // A terminal has no end of input that could be passed on, and a client that detaches from one ends its own only.
  const closeStdinOnEnd = !tty && (config.StdinOnce ?? false);
  const logs = query.boolean("logs");
  const begin = () => open(tty);
  const plan = { ...streams, stdin, closeStdinOnEnd, ...(logs ? {} : outputOf(client, begin)) };
  const pending = query.boolean("stream") ? await attachTo(container, call.parameter("id"), plan, begin) : undefined;
  if (pending === undefined) begin();
  if (logs) {
    const format = { ...streams, timestamps: false, tty };
    await replayLogs(client.output, daemon, container, format, new AbortController().signal);
  }
  const onDetach = () => container.publish("detach");
  if (!pending || !(await joinPending(client, pending, { stdin, closeStdinOnEnd, detachKeys, onDetach })))
    client.close();
}

/** Waits for the process, then pumps until one side ends. Resolves with false if there is none. */
export async function joinPending(
  client: ClientStream,
  pending: PendingAttach,
  options: Omit<PumpOptions, "exitKnown">,
): Promise<boolean> {
  const { output } = client;
  const cancel = () => pending.cancel();
  // What a client has sent is the process's, also if it does not wait for it to start.
  if (!options.stdin) output.on("close", cancel);
  const attached = await pending.connection;
  output.off("close", cancel);
  if (attached !== undefined) await pump(client, attached.socket, { ...options, exitKnown: attached.exitKnown });
  return attached !== undefined;
}
