import { type FileHandle, open } from "node:fs/promises";
import { errnoOf } from "../../base/errors.ts";
import { LOG_MAX_FILES } from "../../base/limits.ts";
import { type LogEntry, LogParser } from "./log-entry.ts";

/** One file of a rotated log, held open: a rotation renames it but what is read stays the same bytes. */
interface LogFile {
  handle: FileHandle;
  inode: number;
}

/** Undefined: no such file. */
async function openLogFile(path: string): Promise<LogFile | undefined> {
  try {
    const handle = await open(path, "r");
    return { handle, inode: (await handle.stat()).ino };
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * The log's files, oldest first: `path.2`, `path.1`, `path`; only those newer than the file `known`, if it is there.
 * The caller closes them.
 * The newest must be opened first: should a rotation come in between, a file is then met twice, which its inode
 * tells, while the other way round one would be missed.
 */
async function openLogFiles(path: string, known?: number): Promise<LogFile[]> {
  const files: LogFile[] = [];
  for (let index = 0; index < LOG_MAX_FILES; index++) {
    const file = await openLogFile(index === 0 ? path : `${path}.${index}`);
    if (file === undefined && index > 0) break;
    if (file === undefined) continue; // between the rename and the creation of a rotation
    if (file.inode === known || files.some(({ inode }) => inode === file.inode)) await file.handle.close();
    else files.unshift(file);
    if (file.inode === known) break;
  }
  return files;
}

const TAIL_CHUNK_BYTES = 64 * 1024;

/** Where the last `count` lines begin: the index of the file and the byte offset in it. */
async function findTail(files: readonly LogFile[], count: number): Promise<{ index: number; offset: number }> {
  const chunk = Buffer.allocUnsafe(TAIL_CHUNK_BYTES);
  let wanted = count;
  for (let index = files.length - 1; index >= 0; index--) {
    const { handle } = files[index]!;
    const { size } = await handle.stat();
    // The break that ends the file ends its last line; it does not begin another.
    let end = size - 1;
    while (end > 0) {
      const start = Math.max(0, end - TAIL_CHUNK_BYTES);
      const { bytesRead } = await handle.read(chunk, 0, end - start, start);
      const part = chunk.subarray(0, bytesRead);
      for (let at = part.lastIndexOf(0x0a); at !== -1; at = at === 0 ? -1 : part.lastIndexOf(0x0a, at - 1)) {
        wanted--;
        if (wanted === 0) return { index, offset: start + at + 1 };
      }
      end = start;
    }
    if (size > 0) wanted--; // the file's first line, which no break precedes
    if (wanted === 0) return { index, offset: 0 };
  }
  return { index: 0, offset: 0 };
}

const READ_CHUNK_BYTES = 256 * 1024;

/** A place in a rotated log that moves forward only. */
export class LogCursor implements AsyncDisposable {
  readonly #path: string;
  /** Oldest first; the first one is being read. */
  #files: LogFile[];
  #offset: number;
  /** Of the newest file opened so far. */
  #newest: number | undefined;
  /** Where to end in the newest file; Infinity when following. */
  #limit = Number.POSITIVE_INFINITY;
  readonly #parser = new LogParser();
  readonly #chunk = Buffer.allocUnsafe(READ_CHUNK_BYTES);

  private constructor(path: string, files: LogFile[], offset: number) {
    this.#path = path;
    this.#files = files;
    this.#offset = offset;
    this.#newest = files.at(-1)?.inode;
  }

  /**
   * Before the last `tail` lines; Infinity: at the beginning; 0: at the end. Unless `follows`, what is written from now on
   * is not read: a fast writer would make the log endless.
   */
  static async open(path: string, tail: number, follows: boolean): Promise<LogCursor> {
    const files = await openLogFiles(path);
    const cursor = await LogCursor.#openAt(path, files, tail);
    if (!follows) cursor.#limit = (await files.at(-1)?.handle.stat())?.size ?? 0;
    return cursor;
  }

  static async #openAt(path: string, files: LogFile[], tail: number): Promise<LogCursor> {
    const newest = files.at(-1);
    if (tail === Number.POSITIVE_INFINITY || newest === undefined) return new LogCursor(path, files, 0);
    const at =
      tail === 0 ? { index: files.length - 1, offset: (await newest.handle.stat()).size } : await findTail(files, tail);
    await closeAll(files.splice(0, at.index));
    return new LogCursor(path, files, at.offset);
  }

  /** What is there now, in batches. */
  async *read(): AsyncGenerator<LogEntry[]> {
    for (let file = this.#files[0]; file !== undefined; ) {
      const limit = this.#files.length === 1 ? this.#limit : Number.POSITIVE_INFINITY;
      const length = Math.min(this.#chunk.length, limit - this.#offset);
      const { bytesRead } =
        length > 0 ? await file.handle.read(this.#chunk, 0, length, this.#offset) : { bytesRead: 0 };
      this.#offset += bytesRead;
      if (bytesRead > 0) {
        const entries = this.#parser.push(this.#chunk.subarray(0, bytesRead));
        if (entries.length > 0) yield entries;
        continue;
      }
      if (this.#files.length === 1) return;
      // A newer file is there, so nothing is written to this one any more.
      this.#files.shift();
      await file.handle.close();
      this.#offset = 0;
      this.#parser.reset();
      file = this.#files[0];
    }
  }

  /** Finds the files that rotations have made since. */
  async refresh(): Promise<void> {
    const newer = await openLogFiles(this.#path, this.#newest);
    this.#files.push(...newer);
    this.#newest = newer.at(-1)?.inode ?? this.#newest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeAll(this.#files.splice(0));
  }
}

async function closeAll(files: readonly LogFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}
