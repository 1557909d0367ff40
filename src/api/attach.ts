import type { Socket } from "node:net";
import { attach as attachTo, DEFAULT_DETACH_KEYS, type PendingAttach, parseDetachKeys } from "../engine/mod.ts";
import type { ClientStream } from "./client-stream.ts";
import { replayLogs } from "./logs.ts";
import { pump } from "./pump.ts";
import type { StreamCall } from "./router.ts";

/** Output is framed unless a terminal made it. The content type that says so is of API 1.42. */
export function isMultiplexed(tty: boolean, apiMinor: number): boolean {
  return !tty && apiMinor >= 42;
}

/** Detach keys are a terminal's: in a pipe they are bytes like others. `what`: as an error has it. @throws LighterError "invalid" */
export function detachKeysFor(tty: boolean, given: string | undefined, what = "detach"): Uint8Array | undefined {
  const keys = given === undefined ? DEFAULT_DETACH_KEYS : parseDetachKeys(given, what);
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
  const { daemon, query, client } = call;
  const container = daemon.engine.find(call.parameter("id"));
  const { config } = container.record;
  const tty = config.Tty ?? false;
  await client.skipBody(); // dockerode's are the parameters once more
  const detachKeys = detachKeysFor(tty, query.text("detachKeys"));
  const streams = { stdout: query.boolean("stdout"), stderr: query.boolean("stderr") };
  const stdin = query.boolean("stdin") && (config.OpenStdin ?? false);
  // A terminal has no end of input that could be passed on, and a client that detaches from one ends its own only.
  const logs = query.boolean("logs");
  const closeStdinOnEnd = !tty && (config.StdinOnce ?? false);
  const begin = () => client.open(isMultiplexed(tty, call.apiMinor));
  const plan = { ...streams, stdin, closeStdinOnEnd, ...(logs ? {} : outputOf(client, begin)) };
  const pending = query.boolean("stream") ? await attachTo(container, call.parameter("id"), plan, begin) : undefined;
  if (pending === undefined) begin();
  if (logs) {
    const format = { ...streams, timestamps: false, tty };
    await replayLogs(client.output, daemon, container, format, new AbortController().signal);
  }
  if (pending === undefined) client.close();
  else
    await joinPending(client, pending, {
      ...{ stdin, closeStdinOnEnd, detachKeys },
      onDetach: () => container.publish("detach"),
    });
}

/** Waits for the process, then pumps until one side ends. */
export async function joinPending(
  client: ClientStream,
  pending: PendingAttach,
  options: Parameters<typeof pump>[2],
): Promise<void> {
  const cancel = () => pending.cancel();
  client.output.on("close", cancel);
  const connection = await pending.connection;
  client.output.off("close", cancel);
  if (connection === undefined) client.close();
  else await pump(client, connection, options);
}
