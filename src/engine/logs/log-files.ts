/** Reads a log across its rotated files. */
import { LighterError } from "../../base/errors.ts";
import { type LogEntry, LogParser } from "./log-entry.ts";
import { CompressedLogFile, type LogFile, PlainLogFile, type Tail } from "./log-file.ts";
import { compressedPath, listRotated, openIfThere, plainPath, withSteadyNames } from "./log-names.ts";

/** Opens the files of a log, newest first. The caller closes them. */
function* openNewestFirst(path: string): Generator<LogFile> {
  const currentFd = openIfThere(path);
  if (currentFd !== undefined) yield new PlainLogFile(currentFd);
  for (const { number, plain } of listRotated(path)) {
    const name = plain ? plainPath(path, number) : compressedPath(path, number);
    const fd = openIfThere(name);
    if (fd !== undefined) yield plain ? new PlainLogFile(fd) : new CompressedLogFile(fd, name);
  }
}

/**
 * Opens the log's files, oldest first; only those newer than the file that was `known`, if that is still there. `known` must be
 * held open meanwhile: an inode that nobody holds is soon another file's, and older ones may have had it.
 */
function openLogFiles(path: string, known?: bigint): Promise<LogFile[]> {
  return withSteadyNames(path, () => {
    const files: LogFile[] = [];
    for (const file of openNewestFirst(path)) {
      if (file.inode === known) {
        file[Symbol.dispose]();
        break;
      }
      files.unshift(file);
    }
    return files;
  });
}

/** Finds where the last `count` lines begin: the index of the file, and the offset in it. */
async function findTail(files: readonly LogFile[], count: number): Promise<{ index: number; offset: number }> {
  let tail: Tail = { offset: 0, missing: count };
  for (let index = files.length - 1; index >= 0; index--) {
    tail = await files[index]!.findTail(tail.missing);
    if (tail.missing === 0) return { index, offset: tail.offset };
  }
  return { index: 0, offset: 0 };
}

/** A place in a rotated log that moves forward only. */
export class LogCursor implements Disposable {
  readonly #path: string;
  /** The open files, oldest first; the first one is being read. */
  #files: LogFile[];
  #offset: number;
  /** The offset where reading ends in the newest file; Infinity when following. */
  #limit = Number.POSITIVE_INFINITY;
  readonly #parser = new LogParser();
  readonly #onDamage: (error: LighterError) => void;

  private constructor(path: string, files: LogFile[], offset: number, onDamage: (error: LighterError) => void) {
    this.#path = path;
    this.#files = files;
    this.#offset = offset;
    this.#onDamage = onDamage;
  }

  /**
   * Opens a log before its last `tail` lines; Infinity: at the beginning; 0: at the end. Unless `follows`, what is written from
   * now on is not read: a fast writer would make the log endless. `onDamage` is told of a file whose rest cannot be read.
   */
  static async open(
    path: string,
    { tail, follows, onDamage }: { tail: number; follows: boolean; onDamage: (error: LighterError) => void },
  ): Promise<LogCursor> {
    const files = await openLogFiles(path);
    const limit = follows ? Number.POSITIVE_INFINITY : (files.at(-1)?.size() ?? 0);
    try {
      const at = await startOf(files, tail);
      for (const skipped of files.splice(0, at.index)) skipped[Symbol.dispose]();
      const cursor = new LogCursor(path, files, at.offset, onDamage);
      cursor.#limit = limit;
      return cursor;
    } catch (error) {
      closeAll(files);
      throw error;
    }
  }

  /** Reads what is there now, in batches. */
  async *read(): AsyncGenerator<LogEntry[]> {
    for (let file = this.#files[0]; file !== undefined; file = this.#files[0]) {
      yield* this.#readFile(file, this.#files.length === 1 ? this.#limit : Number.POSITIVE_INFINITY);
      if (this.#files.length === 1) return;
      // A newer file is there, so nothing is written to this one any more.
      this.#files.shift();
      file[Symbol.dispose]();
      this.#offset = 0;
      this.#parser.reset();
    }
  }

  async *#readFile(file: LogFile, limit: number): AsyncGenerator<LogEntry[]> {
    try {
      for await (const chunk of file.read(this.#offset, limit)) {
        this.#offset += chunk.length;
        const entries = this.#parser.push(chunk);
        if (entries.length > 0) yield entries;
      }
    } catch (error) {
      if (!(error instanceof LighterError)) throw error;
      this.#offset = Number.POSITIVE_INFINITY;
      this.#onDamage(error);
    }
  }

  /** Finds the files that rotations have made since. */
  async refresh(): Promise<void> {
    this.#files.push(...(await openLogFiles(this.#path, this.#files.at(-1)?.inode)));
  }

  [Symbol.dispose](): void {
    closeAll(this.#files.splice(0));
  }
}

async function startOf(files: readonly LogFile[], tail: number): Promise<{ index: number; offset: number }> {
  const newest = files.at(-1);
  if (tail === Number.POSITIVE_INFINITY || newest === undefined) return { index: 0, offset: 0 };
  if (tail === 0) return { index: files.length - 1, offset: newest.size() };
  return findTail(files, tail);
}

function closeAll(files: readonly LogFile[]): void {
  for (const file of files) file[Symbol.dispose]();
}
