/** Writes files and hashes them at the same time. */
import { createHash, type Hash } from "node:crypto";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import type { Digest } from "../../base/ids.ts";
import { writeFailure } from "../store/write-failure.ts";
import { beat } from "./heartbeat.ts";
import type { BlobResult } from "./protocol.ts";

/** A new file that is hashed while it is written. */
export class HashedFile implements Disposable {
  readonly #path: string;
  readonly #hash: Hash = createHash("sha256");
  #fd = -1;
  #sizeBytes = 0;

  /** Nothing may exist at the path. The file is made with the first byte, or with `finish`. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Appends bytes. @throws LighterError ("kernel"). */
  write(bytes: Uint8Array): void {
    beat();
    this.#explained(() => {
      this.#open();
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done, bytes.length - done);
    });
    this.#hash.update(bytes);
    this.#sizeBytes += bytes.length;
  }

  finish(): BlobResult {
    this.#explained(() => this.#open());
    this[Symbol.dispose]();
    return { digest: `sha256:${this.#hash.digest("hex")}` as Digest, sizeBytes: this.#sizeBytes };
  }

  #open(): void {
    if (this.#fd < 0) this.#fd = openSync(this.#path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  }

  #explained(act: () => void): void {
    try {
      act();
    } catch (cause) {
      throw writeFailure(this.#path, cause);
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}
