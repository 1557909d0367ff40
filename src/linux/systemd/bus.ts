/** Speaks D-Bus to systemd. */
import { connect, type Socket } from "node:net";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { DBUS_AUTH_LINE_MAX_BYTES, DBUS_CALL_TIMEOUT_MS } from "../../base/limits.ts";
import type { DbusValue, Message } from "./wire.ts";
import { decodeMessage, encodeMessage, MESSAGE_TYPE, messageBytes } from "./wire.ts";

/** A call: a method of an object, and its arguments. */
export interface Call {
  /** The name of the program called; on a connection without a bus there is only one. */
  destination: string;
  path: string;
  interface: string;
  member: string;
  signature?: string;
  body?: DbusValue[];
}

/** An error reply of the other side, with a `name` like "org.freedesktop.systemd1.UnitExists". */
export class BusError extends Error {
  constructor(
    override readonly name: string,
    message: string,
  ) {
    super(message);
  }
}

const BUS = { destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

/**
 * A connection to a D-Bus, or to one program that speaks its language.
 *
 *   ->  NUL AUTH EXTERNAL, DATA, BEGIN     all at once; the kernel tells the other side who we are
 *   <-  DATA, OK guid
 *   ->  Hello                              a bus only: what gives us a name there
 *
 * Source: D-Bus specification 0.43, "Authentication Protocol"; the empty identity is what sd-bus sends too, and is right
 * in user namespaces, where our uid has another number for the other side.
 */
export class Bus implements AsyncDisposable {
  /** Called for every signal. */
  onSignal: (message: Message) => void = () => {};

  #serial = 0;
  #received: Buffer = Buffer.alloc(0);
  #authenticated = false;
  #failure: Error | undefined;
  readonly #calls = new Map<number, { resolve: (message: Message) => void; reject: (error: Error) => void }>();

  private constructor(
    readonly socket: Socket,
    readonly where: string,
  ) {
    socket.on("data", (chunk: Buffer) => {
      try {
        this.#receive(chunk);
      } catch (error) {
        this.#fail(error as Error);
      }
    });
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new LighterError("unavailable", `"${where}" closed the connection`)));
    socket.write("\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
  }

  /**
   * Connects.
   * @param isBus Whether a bus listens there, and not systemd itself.
   * @throws LighterError ("unavailable") with the errno if nobody listens, or the listener refuses us
   */
  static async open(socketPath: string, isBus: boolean): Promise<Bus> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const connecting = connect(socketPath, () => resolve(connecting));
      connecting.once("error", (cause) => {
        const errno = errnoOf(cause);
        reject(new LighterError("unavailable", `connect to "${socketPath}": ${errno}`, { errno, cause }));
      });
    });
    const bus = new Bus(socket, socketPath);
    if (isBus) await bus.call({ ...BUS, member: "Hello" });
    return bus;
  }

  /** Makes the bus send us the signals that match. Source: D-Bus specification, "Match Rules". */
  async subscribe(rule: string): Promise<void> {
    await this.call({ ...BUS, member: "AddMatch", signature: "s", body: [rule] });
  }

  /** Calls a method and resolves with the reply's values. @throws BusError; LighterError ("unavailable") if there is no reply */
  async call({ signature = "", body = [], ...to }: Call): Promise<DbusValue[]> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#serial += 1;
    const serial = this.#serial;
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    this.#calls.set(serial, { resolve, reject });
    const late = new LighterError("unavailable", `${to.member}: "${this.where}" does not answer`);
    const timer = setTimeout(reject, DBUS_CALL_TIMEOUT_MS, late);
    try {
      this.socket.write(encodeMessage({ type: MESSAGE_TYPE.call, serial, signature, body, ...to }));
      const reply = await promise;
      if (reply.type !== MESSAGE_TYPE.error) return reply.body;
      const [text] = reply.body;
      throw new BusError(reply.errorName ?? "", typeof text === "string" ? text : (reply.errorName ?? "failed"));
    } finally {
      clearTimeout(timer);
      this.#calls.delete(serial);
    }
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (!this.#authenticated) {
      const line = this.#takeLine();
      if (line === undefined) return;
      if (line.startsWith("OK ")) this.#authenticated = true;
      else if (!line.startsWith("DATA"))
        throw new LighterError("unavailable", `"${this.where}" refuses us: ${JSON.stringify(line)}`);
    }
    for (;;) {
      const size = messageBytes(this.#received);
      if (size === undefined || size > this.#received.length) return;
      const message = decodeMessage(this.#received.subarray(0, size));
      this.#received = this.#received.subarray(size);
      if (message.type === MESSAGE_TYPE.signal) this.onSignal(message);
      else this.#calls.get(message.replySerial ?? 0)?.resolve(message);
    }
  }

  #takeLine(): string | undefined {
    const end = this.#received.indexOf("\r\n");
    if (end > DBUS_AUTH_LINE_MAX_BYTES || (end === -1 && this.#received.length > DBUS_AUTH_LINE_MAX_BYTES))
      throw new LighterError("unavailable", `"${this.where}" does not speak D-Bus`);
    if (end === -1) return undefined;
    const line = this.#received.toString("latin1", 0, end);
    this.#received = this.#received.subarray(end + 2);
    return line;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#calls.values()) reject(this.#failure);
    this.socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
  }
}
