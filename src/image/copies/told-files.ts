/**
 * What a client has told of the files of a directory, in its own encoding: who is told the same again knows that nothing has changed,
 * without looking at what it says. It stands beside a spooled context:
 *
 *   told   for each file the length u32 and the bytes of what was told, in the order in which it came
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { writeFailure } from "../store/write-failure.ts";

const TOLD_NAME = "told";
const LENGTH_BYTES = 4;
const BUFFER_BYTES = 64 * 1024;

/** What was told the last time. */
export class ToldFiles {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(spoolPath: string) {
    this.#bytes = readFileSync(join(spoolPath, TOLD_NAME));
  }

  /** Tells whether this is what comes next, and goes on if it is. */
  isNext(telling: Uint8Array): boolean {
    if (this.isAtEnd || this.#bytes.readUInt32LE(this.#at) !== telling.length) return false;
    const start = this.#at + LENGTH_BYTES;
    if (this.#bytes.compare(telling, 0, telling.length, start, start + telling.length) !== 0) return false;
    this.#at = start + telling.length;
    return true;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Yields what was told again so far. */
  *again(): Generator<Uint8Array> {
    for (let at = 0; at < this.#at; ) {
      const start = at + LENGTH_BYTES;
      at = start + this.#bytes.readUInt32LE(at);
      yield this.#bytes.subarray(start, at);
    }
  }
}

/** Writes down what is told this time. */
export class ToldWriter implements Disposable {
  readonly #path: string;
  #fd = -1;
  #buffer = Buffer.alloc(0);
  #length = 0;

  constructor(spoolPath: string) {
    this.#path = join(spoolPath, TOLD_NAME);
  }

  add(telling: Uint8Array): void {
    const byteCount = LENGTH_BYTES + telling.length;
    if (this.#length + byteCount > this.#buffer.length) this.flush();
    if (byteCount > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(Math.max(byteCount, BUFFER_BYTES));
    this.#buffer.writeUInt32LE(telling.length, this.#length);
    this.#buffer.set(telling, this.#length + LENGTH_BYTES);
    this.#length += byteCount;
  }

  /** Writes what has not been written yet. Call at the end, too. @throws LighterError */
  flush(): void {
    try {
      if (this.#fd < 0) this.#fd = openSync(this.#path, "wx", 0o600);
      for (let at = 0; at < this.#length; ) at += writeSync(this.#fd, this.#buffer, at, this.#length - at);
    } catch (error) {
      throw writeFailure("the build's context", error);
    }
    this.#length = 0;
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeSync(this.#fd);
  }
}
