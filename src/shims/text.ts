/** TextEncoder and TextDecoder, for UTF-8 alone. */

import { checkOptions } from "./given.ts";
import { host } from "./host.ts";

export class TextEncoder {
  readonly encoding = "utf-8";

  encode(text = ""): Uint8Array<ArrayBuffer> {
    return new Uint8Array(host.encode(text));
  }

  /** Writes whole characters, as many as fit. */
  encodeInto(text: string, target: Uint8Array): { read: number; written: number } {
    const written = host.encodeInto(text, target, 0, target.length);
    return { read: host.decode(target.subarray(0, written)).length, written };
  }
}

const isContinuation = (byte: number) => (byte & 0xc0) === 0x80;
const BYTE_ORDER_MARK = "\ufeff";
const REPLACEMENT = "\ufffd";

interface DecoderOptions {
  fatal?: boolean;
  ignoreBOM?: boolean;
}

const OPTIONS = ["fatal", "ignoreBOM"] as const satisfies (keyof DecoderOptions)[];

export class TextDecoder {
  readonly encoding = "utf-8";
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  /** The beginning of a character whose end has not arrived. */
  #held = new Uint8Array(0);
  #begun = false;

  constructor(label = "utf-8", options: DecoderOptions = {}) {
    checkOptions("TextDecoder", options, OPTIONS);
    const { fatal = false, ignoreBOM = false } = options;
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`the encoding "${label}" is not supported`);
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  decode(input?: ArrayBuffer | ArrayBufferView, { stream = false } = {}): string {
    const given = bytesOf(input);
    let bytes = given;
    if (this.#held.length > 0) {
      bytes = new Uint8Array(this.#held.length + given.length);
      bytes.set(this.#held);
      bytes.set(given, this.#held.length);
    }
    const whole = stream ? bytes.length - unfinishedBytes(bytes) : bytes.length;
    this.#held = stream ? new Uint8Array(bytes.subarray(whole)) : new Uint8Array(0);
    let text = host.decode(bytes.subarray(0, whole));
    if (this.fatal && text.includes(REPLACEMENT)) this.#checkWhole(bytes.subarray(0, whole), text);
    if (!this.#begun && !this.ignoreBOM && text.startsWith(BYTE_ORDER_MARK)) text = text.slice(1);
    this.#begun = stream && (this.#begun || whole > 0);
    return text;
  }

  /** U+FFFD may be in the text itself: then the text is the same bytes once more. */
  #checkWhole(bytes: Uint8Array, text: string): void {
    const encoded = new Uint8Array(host.encode(text));
    if (encoded.length !== bytes.length || encoded.some((byte, i) => byte !== bytes[i]))
      throw new TypeError("the encoded data is not valid UTF-8");
  }
}

export function bytesOf(input: ArrayBuffer | ArrayBufferView | undefined): Uint8Array {
  if (input === undefined) return new Uint8Array(0);
  if (input instanceof Uint8Array) return input;
  return ArrayBuffer.isView(input)
    ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
    : new Uint8Array(input);
}

/** How many bytes at the end may begin a character. */
function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]!;
    if (isContinuation(byte)) continue;
    const length = byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
    if (byte >= 0xf5 || length <= back) return 0;
    // Is what is there so far the beginning of any character? Then it is decoded as one U+FFFD.
    return host.decode(bytes.subarray(bytes.length - back)).length === 1 ? back : 0;
  }
  return 0;
}
