/** The keys that leave a container without stopping it. */

/** ctrl-p ctrl-q */
export const DEFAULT_DETACH_KEYS: readonly number[] = [16, 17];

/** "ctrl-p,ctrl-q", "x", "ctrl-@" → key bytes. Undefined if the text names no keys. */
export function parseDetachKeys(text: string): readonly number[] | undefined {
  const codes: number[] = [];
  for (const key of text.split(",")) {
    if (key.length === 1) codes.push(key.charCodeAt(0));
    else {
      const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key.toLowerCase())?.[1];
      if (control === undefined) return undefined;
      codes.push(control.toUpperCase().charCodeAt(0) - 64);
    }
  }
  return codes;
}

/**
 * Finds the key sequence in typed input, which may come split anywhere. Keys that may be its beginning are held back
 * until the next one decides.
 */
export class DetachScanner {
  readonly #keys: readonly number[];
  #matched = 0;

  constructor(keys: readonly number[]) {
    this.#keys = keys;
  }

  /** What to pass on, and whether the sequence is complete (what follows it is dropped). */
  scan(input: Uint8Array): { pass: Uint8Array; detached: boolean } {
    if (this.#keys.length === 0) return { pass: input, detached: false };
    const out: number[] = [];
    for (const byte of input) {
      if (byte !== this.#keys[this.#matched] && this.#matched > 0) {
        out.push(...this.#keys.slice(0, this.#matched));
        this.#matched = 0;
      }
      if (byte !== this.#keys[this.#matched]) {
        out.push(byte);
        continue;
      }
      this.#matched++;
      if (this.#matched === this.#keys.length) return { pass: Uint8Array.from(out), detached: true };
    }
    return { pass: Uint8Array.from(out), detached: false };
  }
}
