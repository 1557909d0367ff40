/**
 * GET /containers/{id}/attach/ws: a container's streams over a websocket, which browsers can open.
 *
 *   | FIN 0 0 0 opcode | MASK length7 | length u16 or u64 | mask u8 × 4 | payload … |
 *
 * Source: RFC 6455, sections 4.2 and 5.2. Docker's server frames each piece of output on its own; from API 1.28 on as
 * binary messages, before as text. Output and errors are one stream, without Docker's own framing.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { PassThrough, type Readable, Writable } from "node:stream";
import { LighterError } from "../../base/errors.ts";
import { WEBSOCKET_FRAME_MAX_BYTES } from "../../base/limits.ts";
import { writable } from "../../base/writable.ts";
import { serveAttach } from "../containers/attach.ts";
import { COMMON_HEADERS, formatHead, formatRawError } from "../http/protocol.ts";
import type { StreamCall } from "../http/router.ts";
import type { ClientStream } from "./client-stream.ts";
import { FrameReader } from "./frames.ts";

const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const BINARY_SINCE = 28;
const SELECTABLE_SINCE = 42;

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const CLOSE_NORMAL = 1000;
const CLOSE_PROTOCOL_ERROR = 1002;
const CLOSE_TOO_BIG = 1009;

export function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === "websocket";
}

/** Of a server: never masked. */
export function encodeFrame(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.from([0x80 | opcode, length])
      : Buffer.alloc(length < 65536 ? 4 : 10, 0).fill(0x80 | opcode, 0, 1);
  if (length >= 65536) {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  } else if (length >= 126) {
    head[1] = 126;
    head.writeUInt16BE(length, 2);
  }
  return Buffer.concat([head, payload]);
}

export interface Frame {
  opcode: number;
  payload: Buffer;
}

/** What a client has sent that breaks the protocol; `status` is for the close frame. */
export class ProtocolError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Frames of a client, from bytes cut anywhere. Fragments are given as they come: a stream has no messages. */
export class FrameDecoder {
  #pending: Buffer = Buffer.alloc(0);

  /** @throws ProtocolError; then nothing more may be pushed. */
  push(chunk: Buffer): Frame[] {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const frames: Frame[] = [];
    for (let frame = this.#take(); frame !== undefined; frame = this.#take()) frames.push(frame);
    return frames;
  }

  #take(): Frame | undefined {
    const bytes = this.#pending;
    if (bytes.length < 2) return undefined;
    const [first = 0, second = 0] = bytes;
    const opcode = first & 0x0f;
    if ((first & 0x70) !== 0) throw new ProtocolError(CLOSE_PROTOCOL_ERROR, "a reserved bit is set");
    if (!(Object.values(OPCODE) as number[]).includes(opcode))
      throw new ProtocolError(CLOSE_PROTOCOL_ERROR, `opcode ${opcode} is not known`);
    if ((second & 0x80) === 0) throw new ProtocolError(CLOSE_PROTOCOL_ERROR, "a client's frame is not masked");
    const short = second & 0x7f;
    const isControl = opcode >= OPCODE.close;
    if (isControl && (short > 125 || (first & 0x80) === 0))
      throw new ProtocolError(CLOSE_PROTOCOL_ERROR, "a control frame is too long or in pieces");
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const maskAt = 2 + lengthBytes;
    if (bytes.length < maskAt) return undefined;
    const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (length > WEBSOCKET_FRAME_MAX_BYTES)
      throw new ProtocolError(CLOSE_TOO_BIG, `a frame has more than ${WEBSOCKET_FRAME_MAX_BYTES} bytes`);
    const at = maskAt + 4;
    if (bytes.length < at + length) return undefined;
    const payload = Buffer.from(bytes.subarray(at, at + length));
    for (let index = 0; index < length; index++) payload[index]! ^= bytes[maskAt + (index & 3)]!;
    this.#pending = bytes.subarray(at + length);
    return { opcode, payload };
  }
}

/** A client that has asked for a websocket. Its messages are stdin; it gets output in messages. */
export class WebSocketClient implements ClientStream {
  readonly input: Readable;
  readonly output: Writable;
  readonly #socket: Socket;
  readonly #request: IncomingMessage;
  /** Of the frames that it gets. */
  opcode: number = OPCODE.binary;
  #frames: FrameReader | undefined;
  #isOpen = false;
  #isClosing = false;

  constructor(request: IncomingMessage, socket: Socket, head: Buffer) {
    this.#request = request;
    this.#socket = socket;
    const input = new PassThrough();
    this.input = input;
    this.output = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        const payload = this.#frames === undefined ? chunk : this.#frames.push(chunk);
        if (payload.length === 0 || socket.write(encodeFrame(this.opcode, payload))) done();
        else writable(socket).then(() => done());
      },
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      input.end();
      this.output.destroy();
    });
    this.#receive(input, head);
  }

  #receive(input: PassThrough, head: Buffer): void {
    const decoder = new FrameDecoder();
    const socket = this.#socket;
    input.on("drain", () => socket.resume());
    const onData = (chunk: Buffer) => {
      try {
        for (const { opcode, payload } of decoder.push(chunk))
          if (opcode === OPCODE.ping) socket.write(encodeFrame(OPCODE.pong, payload));
          else if (opcode === OPCODE.close) this.#end(CLOSE_NORMAL);
          else if (opcode !== OPCODE.pong && !input.write(payload)) socket.pause();
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        socket.off("data", onData);
        this.#end(error.status);
      }
    };
    socket.on("data", onData);
    socket.on("end", () => this.#end(CLOSE_NORMAL));
    if (head.length > 0) onData(head);
    socket.resume();
  }

  /** A websocket has no half that could stay open: the client's close is the end of both. */
  #end(status: number): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    const reason = Buffer.alloc(2);
    reason.writeUInt16BE(status);
    this.#socket.end(this.#isOpen ? encodeFrame(OPCODE.close, reason) : "", () => this.#socket.destroy());
  }

  /** Nothing: a websocket is asked for by GET. */
  async skipBody(): Promise<void> {}

  readJson(): Promise<unknown> {
    return Promise.resolve({}); // a GET request
  }

  /** `multiplexed`: what is written has Docker's headers, which are left out. */
  open(multiplexed: boolean): void {
    if (this.#isOpen) return;
    const key = this.#request.headers["sec-websocket-key"];
    if (key === undefined) throw new LighterError("invalid", "a websocket needs the header Sec-WebSocket-Key");
    this.#isOpen = true;
    if (multiplexed) this.#frames = new FrameReader();
    const accept = createHash("sha1").update(`${key}${ACCEPT_SUFFIX}`).digest("base64");
    const headers = { ...COMMON_HEADERS, Upgrade: "websocket", Connection: "Upgrade", "Sec-WebSocket-Accept": accept };
    this.#socket.write(formatHead(101, "Switching Protocols", headers));
  }

  close(): void {
    this.output.end(() => this.#end(CLOSE_NORMAL));
  }

  fail(error: unknown): void {
    if (!this.#isOpen) this.#socket.write(formatRawError(error, "json"));
    this.#end(CLOSE_NORMAL);
  }

  finish(): void {
    this.close();
  }
}

/** GET /containers/{id}/attach/ws */
export async function attachWebSocket(call: StreamCall): Promise<void> {
  const { daemon, query, client, apiMinor } = call;
  daemon.engine.find(call.parameter("id")); // what is not there is not to be asked for in another way
  if (!(client instanceof WebSocketClient)) throw new LighterError("invalid", "the client must ask for a websocket");
  client.opcode = apiMinor < BINARY_SINCE ? OPCODE.text : OPCODE.binary;
  const asked = (name: string) => apiMinor < SELECTABLE_SINCE || query.boolean(name);
  await serveAttach(call, asked, (tty) => client.open(!tty));
}
