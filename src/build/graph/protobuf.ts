/** Writes protobuf messages whose fields depend on what they are about, one after another. */
import { LENGTH, VARINT, Writer } from "../../spec/protobuf.ts";

/** Bytes of a protobuf message, field by field. What has its default value is left out, as in proto3. */
export class Message {
  readonly #writer = new Writer();

  number(field: number, value: number | bigint | boolean): this {
    const bits = BigInt(value);
    if (bits !== 0n) {
      this.#writer.tag(field, VARINT);
      this.#writer.varint(bits);
    }
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
    this.#writer.tag(field, LENGTH);
    this.#writer.bytes(value);
    return this;
  }

  encode(): Buffer {
    return Buffer.from(this.#writer.finish());
  }
}
