/** Writes binary structs, and converts between texts and UTF-8. */
import { assert } from "./assert.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

export function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** A buffer of zeros that is not from Node's pool, whose buffers share one ArrayBuffer. */
export function zeroed(length: number): Buffer<ArrayBuffer> {
  return Buffer.from(new ArrayBuffer(length));
}

function checkRange(value: number, max: number): void {
  if (!(Number.isInteger(value) && value >= 0 && value <= max)) assert(false, `${value} is not from 0 to ${max}`);
}

/** A growing little-endian buffer. Offsets are byte offsets from its start. */
export class ByteWriter {
  #bytes: Buffer<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  constructor(capacity = 1024) {
    this.#bytes = zeroed(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  #grow(by: number): number {
    const at = this.#length;
    const needed = at + by;
    if (needed > this.#bytes.length) {
      const bigger = zeroed(Math.max(needed, this.#bytes.length * 2));
      bigger.set(this.#bytes);
      this.#bytes = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    this.#length = needed;
    return at;
  }

  u8(value: number): this {
    checkRange(value, 0xff);
    const at = this.#grow(1); // may replace the view
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    checkRange(value, 0xffff);
    const at = this.#grow(2); // may replace the view
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(value: number): this {
    checkRange(value, 0xffffffff);
    const at = this.#grow(4); // may replace the view
    this.#view.setUint32(at, value, true);
    return this;
  }

  u64(value: bigint): this {
    const at = this.#grow(8); // may replace the view
    this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** Appends zero bytes up to the next multiple of `alignment`. */
  align(alignment: number): this {
    const rest = this.#length % alignment;
    if (rest !== 0) this.#grow(alignment - rest);
    return this;
  }

  zeros(count: number): this {
    this.#grow(count);
    return this;
  }

  /** Appends `count` zero bytes, to be filled in through the returned view of the whole buffer; valid until the next write. */
  reserve(count: number): DataView {
    this.#grow(count);
    return this.#view;
  }

  /** A view of what was written; valid until the next write. */
  finish(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#bytes.buffer, 0, this.#length); // a Buffer's slice() would be no copy
  }
}
