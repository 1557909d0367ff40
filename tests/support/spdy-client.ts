/** A client of SPDY/3.1 as kubectl is one: opens streams, and reads what comes on them. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { SpdyHeaderWriter } from "../../src/cri/streaming/spdy-headers.ts";

/** The first word of a frame that opens a window. */
const WINDOW_UPDATE = 0x8003_0009;

export class SpdyClient {
  readonly #socket: Socket;
  readonly #writer = new SpdyHeaderWriter();
  readonly #received = new Map<number, Buffer[]>();
  readonly #ended = new Map<number, PromiseWithResolvers<void>>();
  /** What came of a head that was no upgrade. */
  head = "";
  /** What the server lets be sent: the stream, 0 for all, and how much. */
  readonly windows: [stream: number, bytes: number][] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #nextId = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Connects to the URL and upgrades; `head` tells what the server has answered. */
  static async connect(url: string, protocol = "v4.channel.k8s.io"): Promise<SpdyClient> {
    const { hostname, port, pathname } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    await once(socket, "connect");
    const client = new SpdyClient(socket);
    const head = Promise.withResolvers<void>();
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      client.#bytes = Buffer.concat([client.#bytes, chunk]);
      const end = client.#bytes.indexOf("\r\n\r\n");
      if (client.head === "" && end >= 0) {
        client.head = client.#bytes.toString("latin1", 0, end);
        client.#bytes = client.#bytes.subarray(end + 4);
        head.resolve();
      }
      if (client.head !== "") client.#read();
    });
    const ended = () => {
      head.resolve();
      for (const { resolve } of client.#ended.values()) resolve();
    };
    socket.once("end", ended).once("close", ended);
    const upgrade = `Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}`;
    socket.write(`POST ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\n${upgrade}\r\n\r\n`);
    await head.promise;
    return client;
  }

  #read(): void {
    while (this.#bytes.length >= 8) {
      const length = this.#bytes.readUIntBE(5, 3);
      if (this.#bytes.length < 8 + length) return;
      const [word, flags] = [this.#bytes.readUInt32BE(0), this.#bytes[4]!];
      const payload = Buffer.from(this.#bytes.subarray(8, 8 + length));
      this.#bytes = this.#bytes.subarray(8 + length);
      if (word === WINDOW_UPDATE) this.windows.push([payload.readUInt32BE(0), payload.readUInt32BE(4)]);
      if (word >>> 31 === 1) continue;
      this.#received.get(word)?.push(payload);
      if (flags & 1) this.#ended.get(word)?.resolve();
    }
  }

  async open(headers: Record<string, string>): Promise<number> {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#received.set(id, []);
    this.#ended.set(id, Promise.withResolvers());
    const block = await this.#writer.write(new Map(Object.entries(headers)));
    const fields = Buffer.alloc(10);
    fields.writeUInt32BE(id, 0);
    this.#frame(0x8003_0001, 0, Buffer.concat([fields, block]));
    return id;
  }

  send(id: number, data: string | Uint8Array, isLast = false): void {
    this.#frame(id, isLast ? 1 : 0, Buffer.from(data as Uint8Array));
  }

  raw(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  #frame(word: number, flags: number, payload: Buffer): void {
    const header = Buffer.alloc(8);
    header.writeUInt32BE(word >>> 0, 0);
    header[4] = flags;
    header.writeUIntBE(payload.length, 5, 3);
    this.#socket.write(Buffer.concat([header, payload]));
  }

  /** What has come on the stream until now. */
  received(id: number): string {
    return Buffer.concat(this.#received.get(id) ?? []).toString();
  }

  /** Waits for the end of a stream, or of the connection. Resolves with all that came. */
  async all(id: number): Promise<string> {
    await this.#ended.get(id)?.promise;
    return this.received(id);
  }

  /** Waits until the server has ended the connection. */
  async closed(): Promise<void> {
    if (this.#socket.destroyed || this.#socket.readableEnded) return;
    await new Promise<void>((resolve) => this.#socket.once("end", resolve).once("close", () => resolve()));
  }

  close(): void {
    this.#socket.destroy();
    this.#writer.close();
  }
}
