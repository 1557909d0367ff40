/**
 * The digests of a context's files, taken when they were written, so that nobody has to read them to find out whether they have
 * changed. A file of records: an inode's number, of 8 bytes, and the sha256 of what is in it.
 */
import { createHash, type Hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync, type Stats, writeSync } from "node:fs";

const RECORD_BYTES = 40;
const NUMBER_BYTES = 8;
const BUFFERED_RECORDS = 1000;
const ZEROS = Buffer.alloc(64 * 1024);

/** Takes the bytes of one file after another, and writes their digests. */
export class DigestWriter implements Disposable {
  readonly #fd: number;
  readonly #records = Buffer.alloc(BUFFERED_RECORDS * RECORD_BYTES);
  #length = 0;
  #hash: Hash | undefined;
  #end = 0;

  constructor(path: string) {
    this.#fd = openSync(path, "wx", 0o600);
  }

  begin(): void {
    this.#hash = createHash("sha256");
    this.#end = 0;
  }

  data(bytes: Uint8Array, offset: number): void {
    this.#fill(offset);
    this.#hash?.update(bytes);
    this.#end = offset + bytes.length;
  }

  /** The file, of `size` bytes, is complete. What no bytes came for is a hole. */
  end(fd: number, size: number): void {
    this.#fill(size);
    const digest = this.#hash!.digest();
    this.#records.writeBigUInt64LE(fstatSync(fd, { bigint: true }).ino, this.#length);
    this.#records.set(digest, this.#length + NUMBER_BYTES);
    this.#length += RECORD_BYTES;
    if (this.#length === this.#records.length) this.#flush();
  }

  #fill(offset: number): void {
    for (; this.#end < offset; this.#end += ZEROS.length)
      this.#hash?.update(ZEROS.subarray(0, Math.min(ZEROS.length, offset - this.#end)));
  }

  #flush(): void {
    for (let at = 0; at < this.#length; ) at += writeSync(this.#fd, this.#records, at, this.#length - at);
    this.#length = 0;
  }

  finish(): void {
    this.#flush();
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Digests by inode. A file's inode had the last record with its number: an earlier one was removed before. */
export class KnownDigests {
  readonly #bytes: Buffer;
  readonly #places = new Map<number, number>();

  constructor(path: string) {
    this.#bytes = readFileSync(path);
    for (let at = 0; at < this.#bytes.length; at += RECORD_BYTES)
      this.#places.set(Number(this.#bytes.readBigUInt64LE(at)), at);
  }

  of({ ino }: Stats): string | undefined {
    const at = this.#places.get(ino);
    return at === undefined ? undefined : this.#bytes.toString("hex", at + NUMBER_BYTES, at + RECORD_BYTES);
  }
}
