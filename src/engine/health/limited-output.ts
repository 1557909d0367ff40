/** Collects the bytes of a framed stream, both its streams in the order they came, up to a limit. */
const HEADER_BYTES = 8;

export class LimitedOutput {
  readonly #maxBytes: number;
  #rest: Buffer = Buffer.alloc(0);
  /** The bytes left of the frame that is being read. */
  #payloadLeft = 0;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #isTruncated = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const payload = bytes.subarray(0, this.#payloadLeft);
      this.#keep(payload);
      this.#payloadLeft -= payload.length;
      bytes = bytes.subarray(payload.length);
      if (bytes.length < HEADER_BYTES) break;
      this.#payloadLeft = bytes.readUInt32BE(4);
      bytes = bytes.subarray(HEADER_BYTES);
    }
    this.#rest = bytes;
  }

  #keep(payload: Buffer): void {
    const room = this.#maxBytes - this.#keptBytes;
    if (payload.length > room) this.#isTruncated = true;
    const part = payload.subarray(0, room);
    if (part.length === 0) return;
    this.#kept.push(Buffer.from(part));
    this.#keptBytes += part.length;
  }

  /** The text, with "..." where it was cut off. */
  get text(): string {
    return Buffer.concat(this.#kept).toString("utf8") + (this.#isTruncated ? "..." : "");
  }
}
