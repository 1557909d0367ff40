/** node:crypto's and the global `crypto`'s parts that are used; hashing is C. */
import { Buffer, toHex, viewOf } from "./buffer.ts";
import { call, host } from "./host.ts";

export function getRandomValues<T extends ArrayBufferView>(target: T): T {
  const bytes = viewOf(target);
  for (let done = 0; done < bytes.length; )
    done += call("getrandom", bytes.subarray(done), Math.min(256, bytes.length - done), 0);
  return target;
}

export function randomUUID(): string {
  const bytes = getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

class Sha256 {
  readonly #pieces: Uint8Array[] = [];

  update(data: string | ArrayBufferView): this {
    this.#pieces.push(typeof data === "string" ? new Uint8Array(host.encode(data)) : viewOf(data));
    return this;
  }

  digest(): Buffer;
  digest(encoding: "hex" | "base64"): string;
  digest(encoding?: "hex" | "base64"): Buffer | string {
    const bytes = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    const digest = viewOf(host.sha256(bytes));
    return encoding === undefined ? digest : digest.toString(encoding);
  }
}

export function createHash(algorithm: string): Sha256 {
  if (algorithm !== "sha256") throw new Error(`the short commands have no ${algorithm}`);
  return new Sha256();
}

/** Bun's. */
export class CryptoHasher extends Sha256 {
  constructor(algorithm: string) {
    super();
    createHash(algorithm);
  }
}

export default { createHash, getRandomValues, randomUUID };
