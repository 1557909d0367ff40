/** Encodes and decodes the frames of a supervisor's socket. */
import { LighterError } from "../../base/errors.ts";
import { EXIT_HEADER_BYTES, EXIT_MAX_CAPTURE_BYTES, NOTIFIED_MAX_BYTES } from "../program/format.ts";

/** Control frames of the supervisor's socket (program/format.ts): u8 kind, 3 zero bytes, u32 big-endian length, payload. */
export const FRAME_HEADER_BYTES = 8;
const MAX_PAYLOAD_BYTES = Math.max(EXIT_HEADER_BYTES + EXIT_MAX_CAPTURE_BYTES, NOTIFIED_MAX_BYTES);

export interface Frame {
  kind: number;
  payload: Uint8Array;
}

export function encodeFrame(kind: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  frame[0] = kind;
  new DataView(frame.buffer).setUint32(4, payload.length);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

/** Splits a byte stream into frames, however it is cut into chunks. */
export class FrameReader {
  #pending: Uint8Array = new Uint8Array(0);

  /**
   * Takes a chunk and returns the frames that it completes. @throws LighterError ("internal") if the peer does not speak this
   * protocol.
   */
  push(chunk: Uint8Array): Frame[] {
    let bytes = chunk;
    if (this.#pending.length > 0) {
      bytes = new Uint8Array(this.#pending.length + chunk.length);
      bytes.set(this.#pending);
      bytes.set(chunk, this.#pending.length);
    }
    const frames: Frame[] = [];
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(4);
      if (length > MAX_PAYLOAD_BYTES)
        throw new LighterError("internal", `the supervisor sent a frame of ${length} bytes`);
      if (bytes.length - at < FRAME_HEADER_BYTES + length) break;
      frames.push({
        kind: bytes[at]!,
        payload: bytes.slice(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + length),
      });
      at += FRAME_HEADER_BYTES + length;
    }
    this.#pending = new Uint8Array(bytes.subarray(at)); // a copy: a part would keep the whole chunk
    return frames;
  }
}
