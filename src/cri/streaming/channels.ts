/** The streams of a remote command, whichever protocol carries them. */
import { Duplex, PassThrough } from "node:stream";
import { LighterError } from "../../base/errors.ts";
import { SPDY_UNREAD_MAX_BYTES, STREAMS_TIMEOUT_MS } from "../../base/limits.ts";
import { SpdyConnection } from "./spdy.ts";
import { WebSocketConnection } from "./websocket.ts";

export interface Wanted {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  tty: boolean;
}

type Name = "stdin" | "stdout" | "stderr" | "error" | "resize";

/** Streams by name. Nothing is sent on stdin and resize, and nothing comes on the others. */
export interface Channels {
  get(name: Name): Duplex | undefined;
  /** Ends the connection, after all that was written. */
  close(): Promise<void>;
}

function namesOf({ stdin, stdout, stderr, tty }: Wanted): Name[] {
  return [
    "error",
    ...(stdin ? (["stdin"] as const) : []),
    ...(stdout ? (["stdout"] as const) : []),
    ...(stderr && !tty ? (["stderr"] as const) : []),
    ...(tty ? (["resize"] as const) : []),
  ];
}

const isInput = (name: Name) => name === "stdin" || name === "resize";

/** Waits for the streams that the client has to open. @throws LighterError "timed-out" if it does not */
export async function spdyChannels(wire: Duplex, first: Uint8Array, wanted: Wanted): Promise<Channels> {
  const streams = new Map<string, Duplex>();
  const names = namesOf(wanted);
  const complete = Promise.withResolvers<void>();
  let isComplete = false;
  const connection = new SpdyConnection(wire, (stream) => {
    const name = stream.headers.get("streamtype") ?? "";
    streams.set(name, stream);
    // Nobody reads the others, and what is not read holds up the connection.
    if (!names.some((wants) => wants === name && isInput(wants))) stream.resume();
    if (isComplete || !names.every((wants) => streams.has(wants))) return;
    isComplete = true;
    for (const input of names.filter(isInput)) streams.get(input)?.pause(); // until the process is there
    complete.resolve();
  });
  void connection.serve(first).then(
    () => complete.reject(new LighterError("unavailable", "the client has gone away")),
    (error) => {
      complete.reject(error);
      wire.destroy();
    },
  );
  const late = () => complete.reject(new LighterError("timed-out", "the client has not opened its streams in time"));
  const timer = setTimeout(late, STREAMS_TIMEOUT_MS);
  try {
    await complete.promise;
  } finally {
    clearTimeout(timer);
  }
  return { get: (name) => streams.get(name), close: () => connection.close() };
}

/** The number of each stream, which is the first byte of its messages; and of a message that ends one, since version 5. */
const NUMBERS: Readonly<Record<Name, number>> = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 };
const CLOSE = 255;

export async function webSocketChannels(wire: Duplex, first: Uint8Array, wanted: Wanted): Promise<Channels> {
  const connection = new WebSocketConnection(wire);
  const streams = new Map<Name, Duplex>();
  for (const name of namesOf(wanted))
    streams.set(
      name,
      isInput(name)
        ? new PassThrough({ writableHighWaterMark: SPDY_UNREAD_MAX_BYTES })
        : outgoing(connection, NUMBERS[name]),
    );
  void receive(connection, first, streams).finally(() => {
    for (const stream of streams.values()) stream.destroy();
  });
  // The client waits for a sign that it has been let in.
  const sign = (["stdout", "stderr", "error"] as const).find((name) => streams.has(name));
  await connection.send(new Uint8Array([NUMBERS[sign ?? "error"]]));
  return { get: (name) => streams.get(name), close: () => connection.close() };
}

function outgoing(connection: WebSocketConnection, number: number): Duplex {
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Uint8Array, _encoding, done) =>
      void connection.send(new Uint8Array([number]), chunk).then(() => done(), done),
  });
  stream.on("error", () => {}); // whoever writes gets it
  return stream;
}

async function receive(
  connection: WebSocketConnection,
  first: Uint8Array,
  streams: ReadonlyMap<Name, Duplex>,
): Promise<void> {
  const byNumber = (number: number | undefined) =>
    [...streams].find(([name]) => isInput(name) && NUMBERS[name] === number)?.[1];
  try {
    for await (const message of connection.messages(first)) {
      if (message[0] === CLOSE) byNumber(message[1])?.end();
      const stream = message[0] === CLOSE ? undefined : byNumber(message[0]);
      // What comes after the end of a stream is dropped.
      if (stream?.writable && message.length > 1 && !stream.write(message.subarray(1)))
        await new Promise((resolve) => stream.once("drain", resolve).once("close", resolve));
    }
  } catch {
    // the client has gone, or speaks something else: its streams end
  }
}
