/** Writes protobuf messages. Source: protobuf.dev, "Encoding". */

const [VARINT, BYTES] = [0, 2];

/** Bytes of a protobuf message, field by field. What has its default value is left out, as in proto3. */
export class Message {
  readonly #parts: Uint8Array[] = [];

  number(field: number, value: number | bigint | boolean): this {
    const bits = BigInt.asUintN(64, BigInt(value));
    if (bits !== 0n) this.#parts.push(varint(BigInt((field << 3) | VARINT)), varint(bits));
    return this;
  }

  text(field: number, value: string): this {
    return value === "" ? this : this.bytes(field, Buffer.from(value));
  }

  texts(field: number, values: readonly string[]): this {
    for (const value of values) this.bytes(field, Buffer.from(value));
    return this;
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encode());
  }

  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(varint(BigInt((field << 3) | BYTES)), varint(BigInt(value.length)), value);
    return this;
  }

  encode(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7fn; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  bytes.push(Number(left));
  return Uint8Array.from(bytes);
}
