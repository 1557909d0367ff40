/**
 * SPDY/3.1, by which clients of Kubernetes have several streams on one connection. They get windows of flow control as data is
 * taken, but kubectl heeds none: so what it sends ahead is kept, up to a limit, and only then a stream that is not read holds up
 * the others. One that nobody has begun to read, or paused, ends when it is full. Source: SPDY protocol, draft 3.1, 2.
 *
 *   control frame   1 bit 1, u15 version, u16 type, u8 flags, u24 length
 *   data frame      1 bit 0, u31 stream, u8 flags, u24 length
 */
import { Duplex } from "node:stream";
import { LighterError } from "../../base/errors.ts";
import { SPDY_FRAME_MAX_BYTES, SPDY_STREAMS_MAX, SPDY_UNREAD_MAX_BYTES } from "../../base/limits.ts";
import { SpdyHeaderReader, type SpdyHeaders, SpdyHeaderWriter } from "./spdy-headers.ts";

const VERSION = 3;
const SYN_STREAM = 1;
const SYN_REPLY = 2;
const RST_STREAM = 3;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 9;
const FIN = 1;
const HEADER_BYTES = 8;
/** The most that one frame carries of what we send. */
const DATA_BYTES = 32 * 1024;
/** A window is opened anew when half of it has been used: it has 64 KiB. */
const WINDOW_STEP_BYTES = 32 * 1024;
/** The connection's own window. */
const CONNECTION = 0;

export class SpdyStream extends Duplex {
  readonly #connection: SpdyConnection;

  constructor(
    connection: SpdyConnection,
    readonly id: number,
    readonly headers: SpdyHeaders,
  ) {
    super({ allowHalfOpen: true });
    this.#connection = connection;
    this.on("error", () => {}); // whoever reads or writes gets it
  }

  override _read(): void {
    this.#connection.taken(this);
  }

  /** Whether more waits in it than a reader needs to go on. It is read, or closed, before it is not. */
  get isFull(): boolean {
    return this.readableLength >= this.readableHighWaterMark && !this.destroyed;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    void this.#connection.sendData(this.id, chunk).then(() => done(), done);
  }

  override _final(done: (error?: Error) => void): void {
    void this.#connection.sendEnd(this.id).then(() => done(), done);
  }
}

export class SpdyConnection {
  readonly #wire: Duplex;
  readonly #onStream: (stream: SpdyStream) => void;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #reader = new SpdyHeaderReader();
  readonly #writer = new SpdyHeaderWriter();
  /** What has come since the window was opened, by stream. */
  readonly #usedBytes = new Map<number, number>();
  #onTaken = () => {};

  /** `onStream` is called for each stream that the client opens. */
  constructor(wire: Duplex, onStream: (stream: SpdyStream) => void) {
    this.#wire = wire;
    this.#onStream = onStream;
  }

  /** Reads until the client has gone. @throws LighterError "invalid" for what is no SPDY/3.1 */
  async serve(first: Uint8Array = new Uint8Array()): Promise<void> {
    let rest: Buffer = Buffer.from(first);
    try {
      rest = await this.#take(rest);
      for await (const chunk of this.#wire)
        rest = await this.#take(rest.length === 0 ? chunk : Buffer.concat([rest, chunk]));
    } finally {
      for (const stream of this.#streams.values()) stream.destroy();
      this.#reader.close();
      this.#writer.close();
    }
  }

  /** Handles all whole frames; returns what is left. */
  async #take(bytes: Buffer): Promise<Buffer> {
    let rest: Buffer = bytes;
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUIntBE(5, 3);
      if (length > SPDY_FRAME_MAX_BYTES)
        throw new LighterError("invalid", `a frame has ${length} bytes, more than ${SPDY_FRAME_MAX_BYTES}`);
      if (rest.length < HEADER_BYTES + length) break;
      const [word, flags] = [rest.readUInt32BE(0), rest[4]!];
      const payload = rest.subarray(HEADER_BYTES, HEADER_BYTES + length);
      rest = rest.subarray(HEADER_BYTES + length);
      if (word >>> 31 === 0) await this.#takeData(word, flags, payload);
      else await this.#takeControl(word, flags, payload);
    }
    return rest;
  }

  async #takeControl(word: number, flags: number, payload: Buffer): Promise<void> {
    const type = word & 0xffff;
    if (((word >>> 16) & 0x7fff) !== VERSION)
      throw new LighterError("invalid", "a frame is of another version of SPDY");
    if (type === SYN_STREAM && payload.length >= 10) await this.#open(payload, flags);
    else if (type === RST_STREAM && payload.length >= 8) this.#forget(payload.readUInt32BE(0) & 0x7fff_ffff)?.destroy();
    else if (type === PING) await this.#answer(type, payload);
    // Settings, windows and farewells change nothing here.
  }

  async #open(payload: Buffer, flags: number): Promise<void> {
    const id = payload.readUInt32BE(0) & 0x7fff_ffff;
    const headers = await this.#reader.read(payload.subarray(10));
    if (this.#streams.has(id) || this.#streams.size >= SPDY_STREAMS_MAX)
      throw new LighterError("invalid", `stream ${id} is there already, or one too many`);
    const stream = new SpdyStream(this, id, headers);
    this.#streams.set(id, stream);
    stream.once("close", () => {
      this.#forget(id);
      this.#onTaken();
    });
    const reply = Buffer.alloc(4);
    reply.writeUInt32BE(id);
    await this.#answer(SYN_REPLY, Buffer.concat([reply, await this.#writer.write(new Map())]));
    if (flags & FIN) stream.push(null);
    this.#onStream(stream);
  }

  async #takeData(id: number, flags: number, payload: Buffer): Promise<void> {
    this.#use(CONNECTION, payload.length);
    this.#openWindow(CONNECTION);
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.readableEnded || stream.destroyed) return;
    const goesOn = payload.length === 0 || stream.push(new Uint8Array(payload));
    this.#use(id, payload.length);
    if (!goesOn && stream.readableFlowing === null) stream.destroy();
    else if (flags & FIN) stream.push(null);
    else if (!stream.isFull) this.#openWindow(id);
    while (this.#unreadBytes > SPDY_UNREAD_MAX_BYTES) await new Promise<void>((resolve) => (this.#onTaken = resolve));
  }

  /** What waits in streams that do not take it: each of them tells when it does. */
  get #unreadBytes(): number {
    let bytes = 0;
    for (const stream of this.#streams.values()) if (stream.isFull) bytes += stream.readableLength;
    return bytes;
  }

  /** A stream has been read. */
  taken({ id }: SpdyStream): void {
    this.#openWindow(id);
    this.#onTaken();
  }

  #use(id: number, bytes: number): void {
    this.#usedBytes.set(id, (this.#usedBytes.get(id) ?? 0) + bytes);
  }

  /** Lets the client send as much as was used. */
  #openWindow(id: number): void {
    const used = this.#usedBytes.get(id) ?? 0;
    if (used < WINDOW_STEP_BYTES) return;
    this.#usedBytes.set(id, 0);
    const update = Buffer.alloc(8);
    update.writeUInt32BE(id, 0);
    update.writeUInt32BE(used, 4);
    void this.#answer(WINDOW_UPDATE, update);
  }

  #forget(id: number): SpdyStream | undefined {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    this.#usedBytes.delete(id);
    return stream;
  }

  async sendData(id: number, data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; at += DATA_BYTES)
      await this.#write(id, 0, data.subarray(at, Math.min(at + DATA_BYTES, data.length)));
  }

  sendEnd(id: number): Promise<void> {
    return this.#write(id, FIN, new Uint8Array());
  }

  /** Says farewell, after all that was sent. */
  async close(): Promise<void> {
    await this.#send(GOAWAY, new Uint8Array(8));
    this.#wire.end();
  }

  /** Sends what a client that has gone, or was told farewell, does not need any more. */
  #answer(type: number, payload: Uint8Array): Promise<void> {
    return this.#send(type, payload).catch(() => {}); // nobody waits for it
  }

  #send(type: number, payload: Uint8Array): Promise<void> {
    return this.#write(((0x8000 | VERSION) * 0x1_0000 + type) >>> 0, 0, payload);
  }

  #write(word: number, flags: number, payload: Uint8Array): Promise<void> {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32BE(word, 0);
    header[4] = flags;
    header.writeUIntBE(payload.length, 5, 3);
    return new Promise((resolve, reject) => {
      // After the farewell, too: to write then would be an error of the wire, which ends it before all has been read.
      if (!this.#wire.writable) return reject(new LighterError("unavailable", "the client has gone away"));
      this.#wire.write(Buffer.concat([header, payload]), (error) => (error ? reject(error) : resolve()));
    });
  }
}
