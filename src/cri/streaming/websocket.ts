/** WebSockets as Kubernetes' clients use them: binary messages, and nothing that a browser could ask for. Source: RFC 6455. */
import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import { LighterError } from "../../base/errors.ts";
import { WEBSOCKET_MESSAGE_MAX_BYTES } from "../../base/limits.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
/** What a farewell or a sign of life may carry. */
const CONTROL_MAX_BYTES = 125;

/** The header by which a server proves that it knows the protocol. */
export function acceptKey(key: string): string {
  return createHash("sha1").update(`${key}${GUID}`).digest("base64");
}

/** One end of a connection that has been upgraded. */
export class WebSocketConnection {
  readonly #wire: Duplex;

  constructor(wire: Duplex) {
    this.#wire = wire;
  }

  /** Yields messages until the client says farewell, or goes. @throws LighterError "invalid" */
  async *messages(first: Uint8Array): AsyncGenerator<Buffer> {
    let rest = Buffer.from(first);
    let parts: Buffer[] = [];
    let length = 0;
    for await (const chunk of withFirst(this.#wire)) {
      rest = Buffer.concat([rest, chunk]);
      for (let frame = parseFrame(rest); frame !== undefined; frame = parseFrame(rest)) {
        rest = rest.subarray(frame.bytes);
        if (frame.kind === CLOSE) return void (await this.close());
        if (frame.kind === PING) await this.#write(PONG, frame.payload);
        if (![CONTINUATION, TEXT, BINARY].includes(frame.kind)) continue;
        length += frame.payload.length;
        if (length > WEBSOCKET_MESSAGE_MAX_BYTES) throw tooLarge();
        if (frame.payload.length > 0) parts.push(frame.payload);
        if (!frame.isLast) continue;
        yield Buffer.concat(parts);
        [parts, length] = [[], 0];
      }
    }
  }

  send(...parts: readonly Uint8Array[]): Promise<void> {
    return this.#write(BINARY, Buffer.concat(parts));
  }

  /** Ends the connection in an orderly way. */
  async close(): Promise<void> {
    if (this.#wire.writableEnded) return;
    await this.#write(CLOSE, new Uint8Array([0x03, 0xe8])).catch(() => {}); // 1000; it may be gone
    this.#wire.end();
  }

  #write(kind: number, payload: Uint8Array): Promise<void> {
    const { length } = payload;
    const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
    header[0] = 0x80 | kind;
    header[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
    if (header.length === 4) header.writeUInt16BE(length, 2);
    if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2);
    return new Promise((resolve, reject) => {
      if (this.#wire.destroyed) return reject(new LighterError("unavailable", "the client has gone away"));
      this.#wire.write(Buffer.concat([header, payload]), (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** An empty chunk first, so that what came with the request is looked at before more arrives. */
async function* withFirst(wire: Duplex): AsyncGenerator<Buffer> {
  yield Buffer.alloc(0);
  yield* wire;
}

function tooLarge(): LighterError {
  return new LighterError("invalid", `a message has more than ${WEBSOCKET_MESSAGE_MAX_BYTES} bytes`);
}

interface Frame {
  kind: number;
  isLast: boolean;
  payload: Buffer;
  /** The size with its header. */
  bytes: number;
}

/** Parses the frame that the bytes begin with; undefined if it is not whole yet. */
function parseFrame(bytes: Buffer): Frame | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes[1]! & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start + 4) return undefined;
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if ((bytes[1]! & 0x80) === 0) throw new LighterError("invalid", "a client's frame is not masked");
  if (length > WEBSOCKET_MESSAGE_MAX_BYTES) throw tooLarge();
  const kind = bytes[0]! & 0x0f;
  if (kind >= CLOSE && length > CONTROL_MAX_BYTES) throw new LighterError("invalid", "a control frame is too large");
  const end = start + 4 + length;
  if (bytes.length < end) return undefined;
  const payload = new Uint8Array(bytes.subarray(start + 4, end));
  for (let at = 0; at < length; at++) payload[at]! ^= bytes[start + (at & 3)]!;
  return { kind, isLast: (bytes[0]! & 0x80) !== 0, payload: Buffer.from(payload.buffer), bytes: end };
}
