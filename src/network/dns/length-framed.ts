/** DNS over TCP: each message after its length in two bytes, big-endian. (RFC 1035 §4.2.2) */

import { MESSAGE_MIN_BYTES } from "./message.ts";

const LENGTH_BYTES = 2;

/** Frames a message, which has 65535 bytes at most. */
export function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(LENGTH_BYTES + message.length);
  framed[0] = message.length >> 8;
  framed[1] = message.length & 0xff;
  framed.set(message, LENGTH_BYTES);
  return framed;
}

/** Splits a stream that is cut anywhere into messages. Holds less than one message. */
export class FrameReader {
  readonly #maxBytes: number;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  /** With fewer bytes than this, nothing is complete. */
  #needed = LENGTH_BYTES;

  /** `maxBytes` limits one message. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Returns the messages that `chunk` completes, which may be views of it, or undefined if the stream holds no messages. */
  push(chunk: Uint8Array): Uint8Array[] | undefined {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#needed) return [];
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const messages: Uint8Array[] = [];
    let at = 0;
    this.#needed = LENGTH_BYTES;
    while (at + LENGTH_BYTES <= bytes.length) {
      const length = (bytes[at]! << 8) | bytes[at + 1]!;
      if (length < MESSAGE_MIN_BYTES || length > this.#maxBytes) return undefined;
      const end = at + LENGTH_BYTES + length;
      if (end > bytes.length) {
        this.#needed = end - at;
        break;
      }
      messages.push(bytes.subarray(at + LENGTH_BYTES, end));
      at = end;
    }
    this.#chunks = [bytes.slice(at)];
    this.#bytes = bytes.length - at;
    return messages;
  }
}
