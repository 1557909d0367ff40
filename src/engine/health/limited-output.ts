/** Collects the bytes of a framed stream, both its streams in the order they came, up to a limit. */
import { FrameReader } from "../process/frame-reader.ts";

export class LimitedOutput {
  readonly #maxBytes: number;
  readonly #frames = new FrameReader();
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #isTruncated = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    this.#keep(this.#frames.push(chunk));
  }

  /** Takes all of a stream; the end of one that has ended before counts. @throws what the stream fails with */
  async readFrom(stream: AsyncIterable<Buffer>): Promise<void> {
    for await (const chunk of stream) this.push(chunk);
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
