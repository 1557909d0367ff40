/** The keys that leave a container's terminal without stopping it. */

/** The default: ctrl-p ctrl-q. */
export const DEFAULT_DETACH_KEYS: Uint8Array = Uint8Array.of(16, 17);

/** The characters that "ctrl-" can precede; the index of each is the byte. */
const CONTROLS = "@abcdefghijklmnopqrstuvwxyz[\\]^_";
const DEL = 127;

/**
 * Parses detach keys such as "ctrl-a,b" into one byte for each comma-separated key, which is an ASCII character, "ctrl-" and one
 * of `@a…z[\]^_`, or "DEL". Undefined for anything else.
 * Source: github.com/moby/term, ascii.go.
 */
export function parseDetachKeys(text: string): Uint8Array | undefined {
  const bytes = text.split(",").map(keyByte);
  return bytes.includes(-1) ? undefined : Uint8Array.from(bytes);
}

function keyByte(key: string): number {
  if (key === "DEL") return DEL;
  if (/^ctrl-.$/.test(key)) return CONTROLS.indexOf(key.charAt(5));
  return key.length === 1 && key.charCodeAt(0) < 128 ? key.charCodeAt(0) : -1;
}

/** Finds the detach sequence in a terminal's input, across chunk borders. */
export class DetachScanner {
  readonly #keys: Uint8Array;
  /** Bytes of the sequence seen so far: withheld until it is clear that they are ordinary input. */
  #matched = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /**
   * Takes a chunk and returns what to pass on. With `detached`, the sequence is complete and the rest of the chunk is dropped.
   */
  push(chunk: Uint8Array): { output: Uint8Array; detached: boolean } {
    const keys = this.#keys;
    if (keys.length === 0) return { output: chunk, detached: false };
    // The usual chunk has no key of the sequence in it and is passed on uncopied.
    if (this.#matched === 0 && !chunk.includes(keys[0]!)) return { output: chunk, detached: false };
    const output = new Uint8Array(chunk.length + this.#matched);
    let length = 0;
    for (const byte of chunk) {
      // A mismatch releases the withheld bytes, except those that may still begin the sequence.
      while (this.#matched > 0 && byte !== keys[this.#matched]) {
        const kept = this.#border();
        output.set(keys.subarray(0, this.#matched - kept), length);
        length += this.#matched - kept;
        this.#matched = kept;
      }
      if (byte !== keys[this.#matched]) output[length++] = byte;
      else if (++this.#matched === keys.length) return { output: output.subarray(0, length), detached: true };
    }
    return { output: output.subarray(0, length), detached: false };
  }

  /** How many of the last matched bytes also begin the sequence (Knuth, Morris, Pratt). */
  #border(): number {
    const keys = this.#keys;
    for (let length = this.#matched - 1; length > 0; length--) {
      const start = this.#matched - length;
      if (keys.subarray(0, length).every((key, index) => key === keys[start + index])) return length;
    }
    return 0;
  }

  /** Releases the withheld bytes at the end of input. */
  flush(): Uint8Array {
    const rest = this.#keys.subarray(0, this.#matched);
    this.#matched = 0;
    return rest;
  }
}
