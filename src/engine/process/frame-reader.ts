/** Reads multiplexed streams: those of processes without a terminal. Source: Docker Engine API, ContainerAttach, "Stream format". */

export const FRAME_HEADER_BYTES = 8;

/** Removes the headers from a multiplexed stream that arrives in arbitrary pieces. */
export class FrameReader {
  #header = Buffer.alloc(0);
  #stream = 0;
  #payloadLeft = 0;

  /** The payloads in these bytes, for both streams. */
  push(chunk: Buffer): Buffer {
    const payloads = this.pieces(chunk).map(({ payload }) => payload);
    return payloads.length === 1 ? payloads[0]! : Buffer.concat(payloads);
  }

  /** The payloads in these bytes, each with its stream: 1 is stdout, 2 stderr. */
  pieces(chunk: Buffer): { stream: number; payload: Buffer }[] {
    const pieces: { stream: number; payload: Buffer }[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#payloadLeft > 0) {
        const payload = rest.subarray(0, this.#payloadLeft);
        pieces.push({ stream: this.#stream, payload });
        this.#payloadLeft -= payload.length;
        rest = rest.subarray(payload.length);
        continue;
      }
      const missing = FRAME_HEADER_BYTES - this.#header.length;
      this.#header = Buffer.concat([this.#header, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (this.#header.length < FRAME_HEADER_BYTES) break;
      this.#stream = this.#header[0]!;
      this.#payloadLeft = this.#header.readUInt32BE(4);
      this.#header = Buffer.alloc(0);
    }
    return pieces;
  }
}
