/** One file of a log, plain or compressed. */
import { closeSync, fstatSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { inodeOfCompressed, readCompressed } from "./compressed-log.ts";
import { readAt, readRange } from "./read-range.ts";

const TAIL_BYTES = 64 * 1024;
const LINE_BREAK = 0x0a;

/** The place where the last lines of a log begin. */
export interface Tail {
  offset: number;
  /** The number of these lines that are in older files. */
  missing: number;
}

/** One file of a log, held open: what is read stays the same bytes, whatever becomes of its name. */
export interface LogFile extends Disposable {
  /** The inode of the file as it was written: it may have been compressed since. */
  readonly inode: bigint;
  /** Returns how much of it can be read now; Infinity: all that there will ever be. */
  size(): number;
  /** Reads between two offsets of what was written. A chunk is valid until the next one is asked for. */
  read(from: number, to: number): AsyncGenerator<Uint8Array>;
  /** Finds where its last `count` lines begin, `count` being 1 or more. */
  findTail(count: number): Promise<Tail>;
}

export class PlainLogFile implements LogFile {
  readonly inode: bigint;
  readonly #fd: number;

  /** Opens the log on an fd, which is closed with it. */
  constructor(fd: number) {
    this.#fd = fd;
    this.inode = fstatSync(fd, { bigint: true }).ino;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  size(): number {
    return fstatSync(this.#fd).size;
  }

  read(from: number, to: number): AsyncGenerator<Uint8Array> {
    return readRange(this.#fd, from, to);
  }

  async findTail(count: number): Promise<Tail> {
    const chunk = Buffer.allocUnsafe(TAIL_BYTES);
    const size = this.size();
    let missing = count;
    // The line break at the end of the file ends its last line and does not begin another.
    for (let end = size - 1; end > 0; ) {
      const start = Math.max(0, end - TAIL_BYTES);
      const { bytesRead } = await readAt(this.#fd, chunk, 0, end - start, start);
      const part = chunk.subarray(0, bytesRead);
      for (
        let at = part.lastIndexOf(LINE_BREAK);
        at !== -1;
        at = at === 0 ? -1 : part.lastIndexOf(LINE_BREAK, at - 1)
      ) {
        missing--;
        if (missing === 0) return { offset: start + at + 1, missing };
      }
      end = start;
    }
    if (size > 0) missing--; // the file's first line, which follows no line break
    return { offset: 0, missing };
  }
}

/**
 * A compressed file. It is read from its beginning, as often as needed: a copy would need the space that compression has saved.
 */
export class CompressedLogFile implements LogFile {
  readonly inode: bigint;
  readonly #fd: number;
  readonly #path: string;

  /** Opens the log on an fd, which is closed with it. `path` is for messages. */
  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
    this.inode = inodeOfCompressed(fd);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  size(): number {
    return Number.POSITIVE_INFINITY;
  }

  /** Reads a range. @throws LighterError "invalid" where it is damaged */
  async *read(from: number, to: number): AsyncGenerator<Uint8Array> {
    if (from >= to) return;
    let at = 0;
    try {
      for await (const chunk of readCompressed(this.#fd)) {
        const part = chunk.subarray(Math.max(0, from - at), to - at);
        at += chunk.length;
        if (part.length > 0) yield part;
        if (at >= to) return;
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
      throw new LighterError("invalid", `error decompressing log file "${this.#path}": ${error.message}`, {
        cause: error,
      });
    }
  }

  /** Finds the last lines of what can be read. */
  async findTail(count: number): Promise<Tail> {
    const lines = await this.#lineStart(Number.POSITIVE_INFINITY);
    if (lines.number <= count) return { offset: 0, missing: count - lines.number };
    return { offset: (await this.#lineStart(lines.number - count)).offset, missing: 0 };
  }

  /** Finds where line `wanted` begins, counted from 0; or how many lines there are. */
  async #lineStart(wanted: number): Promise<{ number: number; offset: number }> {
    let [number, offset, end] = [0, 0, 0];
    try {
      for await (const chunk of readCompressed(this.#fd)) {
        for (let at = chunk.indexOf(LINE_BREAK); at !== -1; at = chunk.indexOf(LINE_BREAK, at + 1)) {
          number++;
          offset = end + at + 1;
          if (number === wanted) return { number, offset };
        }
        end += chunk.length;
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    return { number: offset < end ? number + 1 : number, offset };
  }
}

function isDamage(error: unknown): error is LighterError {
  return error instanceof LighterError && error.code === "invalid";
}
