/** Recalls the digests of large files that were hashed before, of which nobody needs to read the bytes. */
import { LighterError } from "../../base/errors.ts";
import type { FileRange } from "../../spec/file-range.ts";
import { identityOfContent } from "./file-identity.ts";

/** Digests in hexadecimal, by what identifies a file's content. */
export interface KnownDigests {
  find(identity: string): string | undefined;
  learn(identity: string, digest: string): void;
}

interface Recalled {
  identity: string;
  digest: string | undefined;
  fd: number;
}

/** What is known of one file at a time. The ranges may be of any files: each is looked at. */
export class FileRecall {
  readonly #known: KnownDigests;
  #file: Recalled | undefined;

  constructor(known: KnownDigests) {
    this.#known = known;
  }

  /** The digest of the file, if it is known. */
  get digest(): string | undefined {
    return this.#file?.digest;
  }

  /** Takes the range at a place of a file of so many bytes. */
  take({ fd, offset }: FileRange, at: number, sizeBytes: number): void {
    const identity = offset === at ? identityOfContent(fd, sizeBytes) : undefined;
    if (at === 0)
      this.#file = identity === undefined ? undefined : { identity, digest: this.#known.find(identity), fd };
    else if (identity !== this.#file?.identity) this.mix();
    else if (this.#file !== undefined) this.#file.fd = fd;
  }

  /** Takes note of bytes that are not the file's. */
  mix(): void {
    if (this.digest !== undefined)
      throw new LighterError("invalid", "a file of the build context has changed while it was sent");
    this.#file = undefined;
  }

  /** Learns the digest of what was read, if it is still what the file has. Must be called as long as the last range is open. */
  end(digest: string, sizeBytes: number): void {
    const file = this.#file;
    this.#file = undefined;
    if (file !== undefined && identityOfContent(file.fd, sizeBytes) === file.identity)
      this.#known.learn(file.identity, digest);
  }
}
