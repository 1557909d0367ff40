/** Sends log entries over a connection, which is made when there is something to send, and anew after a failure. */
import { connect, isIP, type Socket } from "node:net";
import { systemAuthorities } from "../../linux/authorities.ts";
import type { LogEntry } from "./log-entry.ts";
import type { LogSink } from "./sink.ts";

type StreamPlace = { hostname: string; port: number; isEncrypted?: boolean } | { path: string };

/** A frame, and whether the server's answer to it says that it has it. */
export interface StreamFrame {
  bytes: Uint8Array;
  isTaken?: (answer: Buffer) => boolean;
}

/** The time that a server may take for a connection, to take bytes or to acknowledge them, before the entry is sent anew. */
const PATIENCE_MS = 30_000;

export class StreamSink implements LogSink {
  #socket: Promise<Socket> | undefined;
  #giveUp: ((why: Error) => void) | undefined;

  constructor(
    readonly place: StreamPlace,
    readonly encode: (entry: LogEntry) => StreamFrame,
    readonly patienceMs = PATIENCE_MS,
  ) {}

  async send(entry: LogEntry): Promise<void> {
    this.#socket ??= this.#connect();
    const { promise: late, reject } = Promise.withResolvers<never>();
    this.#giveUp = reject;
    const timer = setTimeout(() => reject(new Error("the server does not take it")), this.patienceMs);
    try {
      await Promise.race([this.#write(this.#socket, this.encode(entry)), late]);
    } catch (error) {
      this.close();
      throw error;
    } finally {
      this.#giveUp = undefined;
      clearTimeout(timer);
    }
  }

  async #write(opened: Promise<Socket>, { bytes, isTaken }: StreamFrame): Promise<void> {
    const socket = await opened;
    const acknowledged = isTaken === undefined ? undefined : answered(socket, isTaken);
    acknowledged?.catch(() => {}); // it is awaited below, unless the write fails first
    await new Promise<void>((resolve, reject) => {
      socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
    await acknowledged;
  }

  async #open(): Promise<{ socket: Socket; ready: "connect" | "secureConnect" }> {
    const { place } = this;
    if ("path" in place) return { socket: connect(place.path), ready: "connect" };
    const address = { host: place.hostname, port: place.port };
    if (!place.isEncrypted) return { socket: connect(address), ready: "connect" };
    const { connect: connectTls } = await import("node:tls");
    const ca = systemAuthorities();
    const name = isIP(place.hostname) === 0 ? { servername: place.hostname } : {};
    return { socket: connectTls({ ...address, ...name, ...(ca && { ca }) }), ready: "secureConnect" };
  }

  #connect(): Promise<Socket> {
    const opened = this.#open().then(async ({ socket, ready }) => {
      const { promise, resolve, reject } = Promise.withResolvers<Socket>();
      socket.once(ready, () => resolve(socket));
      socket.on("error", reject);
      socket.on("close", () => {
        reject(new Error("the server closed the connection"));
        if (this.#socket === opened) this.#socket = undefined;
      });
      socket.resume(); // what a server says matters only where it acknowledges
      return await promise;
    });
    return opened;
  }

  /** Closes the connection, after what has been sent. An entry under way is given up. */
  close(): void {
    const isUnderWay = this.#giveUp !== undefined;
    this.#giveUp?.(new Error("closed"));
    void this.#socket?.then(
      (socket) => (isUnderWay ? socket.destroy() : socket.destroySoon()),
      () => {},
    );
    this.#socket = undefined;
  }
}

/** Resolves when what the server says is what `isTaken` waits for. */
function answered(socket: Socket, isTaken: (answer: Buffer) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (!isTaken(answer)) return;
      socket.off("data", onData).off("close", onClose);
      resolve();
    };
    const onClose = () => reject(new Error("the server closed the connection"));
    socket.on("data", onData).once("close", onClose);
  });
}
