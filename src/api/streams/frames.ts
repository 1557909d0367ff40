/** Docker's frames, in which one stream carries stdout and stderr. */
import type { LogEntry } from "../../engine/mod.ts";

/** A frame's stream. "error" has the daemon's own words about the stream. The last three are used by POST /lighter/run alone. */
type FrameStream = LogEntry["stream"] | "error" | "created" | "failed" | "exited";

const STREAM_NUMBER: Readonly<Record<FrameStream, number>> = {
  ...{ stdout: 1, stderr: 2, error: 3 },
  ...{ created: 16, failed: 17, exited: 18 },
};
const FRAME_HEADER_BYTES = 8;

/**
 * Encodes one frame of a multiplexed stream:
 *
 *   | stream u8 | 0 0 0 | length u32, big-endian | payload … |
 *
 * Source: Docker Engine API, ContainerAttach, "Stream format".
 */
export function encodeFrame(stream: FrameStream, payload: string | Buffer): Buffer {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt8(STREAM_NUMBER[stream], 0);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

/** Removes the headers from a multiplexed stream that arrives in arbitrary pieces. */
export class FrameReader {
  #header = Buffer.alloc(0);
  #payloadLeft = 0;

  /** The payloads in these bytes, for both streams. */
  push(chunk: Buffer): Buffer {
    const payloads: Buffer[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#payloadLeft > 0) {
        const payload = rest.subarray(0, this.#payloadLeft);
        payloads.push(payload);
        this.#payloadLeft -= payload.length;
        rest = rest.subarray(payload.length);
        continue;
      }
      const missing = FRAME_HEADER_BYTES - this.#header.length;
      this.#header = Buffer.concat([this.#header, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (this.#header.length < FRAME_HEADER_BYTES) break;
      this.#payloadLeft = this.#header.readUInt32BE(4);
      this.#header = Buffer.alloc(0);
    }
    return payloads.length === 1 ? payloads[0]! : Buffer.concat(payloads);
  }
}
