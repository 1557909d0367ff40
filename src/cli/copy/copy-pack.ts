/** Packs a file or a tree of this machine as the tar archive that `cp` sends. */
import { closeSync, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from "node:fs";
import type { TarEntry, TarEntryType } from "../../image/tar/tar-reader.ts";
import { encodeTarHeader, TAR_END, tarPaddingBytes } from "../../image/tar/tar-writer.ts";
import {
  type BytePath,
  bytePath,
  getxattrFd,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  showPath,
  splitDevice,
} from "../../linux/sys/fs.ts";
import { isPlainFile } from "../../linux/sys/send-file.ts";
import { FILE_RANGE_MIN_BYTES, type FileRange, rangesOf } from "../../spec/file-range.ts";
import { CliError } from "../exit.ts";
import { errnoText } from "../values/env-file.ts";
import { type CopyEnd, splitPath } from "./container-path.ts";

/** Size of what is sent at a time: many small files, or a piece of a large one. */
const PIECE_BYTES = 1024 * 1024;
const CAPABILITY = "security.capability";

/**
 * Yields the archive of `source`, whose first entry has its name, or "." for the content of a directory. Names are
 * sorted, times are whole seconds, sockets are left out. A piece is valid until the next one is requested. Where `takesFiles`, large
 * files are ranges, not bytes.
 * @throws CliError that names the file
 */
export function packTree(source: CopyEnd): AsyncGenerator<Uint8Array>;
export function packTree(source: CopyEnd, takesFiles: () => boolean): AsyncGenerator<Uint8Array | FileRange>;
export async function* packTree(source: CopyEnd, takesFiles = () => false): AsyncGenerator<Uint8Array | FileRange> {
  const { base } = splitPath(source.path);
  yield* new Packer({ takesFiles }).packAll(bytePath(source.path), bytePath(source.rebaseName || base));
}

/** How the entries of an archive differ from the files. */
interface PackOptions {
  /** Whether a file or directory goes into the archive, by its name there; "inside" leaves out the directory alone. */
  readonly keeps?: (name: BytePath, isDirectory: boolean) => boolean | "inside";
  /** Files belong to nobody in particular: the owner is left out. */
  readonly withoutOwners?: boolean;
  /** Whether a large file may be ranges, by its name in the archive. */
  readonly takesFiles?: (name: BytePath) => boolean;
}

/**
 * Yields the archive of what is in a directory, if one is given, followed by files that are given as text. A piece is valid until the next one is
 * requested.
 * @throws CliError that names the file
 */
export function packContent(
  directory: string | undefined,
  options: Omit<PackOptions, "takesFiles">,
  extra: ReadonlyMap<string, string>,
): AsyncGenerator<Uint8Array>;
export function packContent(
  directory: string | undefined,
  options: PackOptions,
  extra: ReadonlyMap<string, string>,
): AsyncGenerator<Uint8Array | FileRange>;
export async function* packContent(
  directory: string | undefined,
  options: PackOptions,
  extra: ReadonlyMap<string, string>,
): AsyncGenerator<Uint8Array | FileRange> {
  yield* new Packer(options).packContent(directory === undefined ? undefined : bytePath(directory), extra);
}

class Packer {
  readonly #options: PackOptions;
  /** Path in the archive of every file that has several names, by device and inode. */
  readonly #links = new Map<string, string>();
  readonly #piece = new Uint8Array(PIECE_BYTES);
  #length = 0;

  constructor(options: PackOptions = {}) {
    this.#options = options;
  }

  *packContent(directory: BytePath | undefined, extra: ReadonlyMap<string, string>): Generator<Uint8Array | FileRange> {
    const names = directory === undefined ? [] : namesIn(directory);
    for (const name of names) yield* this.#pack(`${directory}/${name}` as BytePath, name);
    for (const [name, text] of extra) yield* this.#putText(bytePath(name), Buffer.from(text));
    yield* this.#end();
  }

  *packAll(path: BytePath, name: BytePath): Generator<Uint8Array | FileRange> {
    yield* this.#pack(path, name);
    yield* this.#end();
  }

  *#end(): Generator<Uint8Array> {
    yield* this.#put(TAR_END);
    if (this.#length > 0) yield this.#piece.subarray(0, this.#length);
  }

  *#putText(path: BytePath, content: Uint8Array): Generator<Uint8Array> {
    yield* this.#put(encodeTarHeader({ ...NO_FILE, path, size: content.length }));
    yield* this.#put(content);
    yield* this.#put(new Uint8Array(tarPaddingBytes(content.length)));
  }

  *#put(bytes: Uint8Array): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(bytes.length - at, PIECE_BYTES - this.#length);
      this.#piece.set(bytes.subarray(at, at + count), this.#length);
      at += count;
      yield* this.#advance(count);
    }
  }

  *#advance(count: number): Generator<Uint8Array> {
    this.#length += count;
    if (this.#length < PIECE_BYTES) return;
    yield this.#piece;
    this.#length = 0;
  }

  *#pack(path: BytePath, name: BytePath): Generator<Uint8Array | FileRange> {
    const status = explained("lstat", path, (bytes) => lstatSync(bytes));
    const type = typeOf(status);
    const isKept = this.#options.keeps?.(name, type === "directory") ?? true;
    if (type === undefined || isKept === false) return;
    if (type === "file") {
      yield* this.#packFile(path, name, status);
      return;
    }
    const readLink = (bytes: Buffer) => readlinkSync(bytes, { encoding: "latin1" });
    const linkPath = type === "symlink" ? explained("readlink", path, readLink) : "";
    if (isKept === true)
      yield* this.#put(this.#header(entryOf(type === "directory" ? `${name}/` : name, type, status, linkPath)));
    if (type !== "directory") return;
    for (const child of namesIn(path))
      yield* this.#pack(`${path}/${child}` as BytePath, `${name}/${child}` as BytePath);
  }

  #header(entry: TarEntry): Uint8Array {
    return encodeTarHeader(this.#options.withoutOwners === true ? { ...entry, uid: 0, gid: 0 } : entry);
  }

  *#packFile(path: BytePath, name: BytePath, status: Stats): Generator<Uint8Array | FileRange> {
    if (status.nlink > 1) {
      const key = `${status.dev}:${status.ino}`;
      const first = this.#links.get(key);
      if (first !== undefined) {
        yield* this.#put(this.#header(entryOf(name, "hardlink", status, first)));
        return;
      }
      this.#links.set(key, name);
    }
    const fd = explained("open", path, (bytes) => openSync(bytes, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    try {
      const opened = fstatSync(fd);
      const capability = getxattrFd(fd, CAPABILITY);
      const xattrs = capability === undefined ? [] : [{ name: CAPABILITY, value: capability }];
      yield* this.#put(this.#header({ ...entryOf(name, "file", opened, ""), size: opened.size, xattrs }));
      const isRange = opened.size >= FILE_RANGE_MIN_BYTES && this.#options.takesFiles?.(name) && isPlainFile(fd);
      if (isRange) yield* this.#ranges(path, fd, opened.size);
      else yield* this.#content(path, fd, opened.size);
      yield* this.#put(new Uint8Array(tarPaddingBytes(opened.size)));
    } finally {
      closeSync(fd);
    }
  }

  *#content(path: BytePath, fd: number, sizeBytes: number): Generator<Uint8Array> {
    for (let left = sizeBytes; left > 0; ) {
      const room = this.#piece.subarray(this.#length, this.#length + left);
      const count = explained("read", path, () => readSync(fd, room));
      if (count === 0) throw shortened(path);
      left -= count;
      yield* this.#advance(count);
    }
  }

  *#ranges(path: BytePath, fd: number, sizeBytes: number): Generator<Uint8Array | FileRange> {
    if (this.#length > 0) yield this.#piece.subarray(0, this.#length);
    this.#length = 0;
    for (const range of rangesOf(fd, sizeBytes)) {
      yield range;
      if (fstatSync(fd).size < sizeBytes) throw shortened(path);
    }
  }
}

function shortened(path: BytePath): CliError {
  return new CliError(`read ${showPath(path)}: it became shorter meanwhile`);
}

/** The entry of a file that is text of ours. */
const NO_FILE: TarEntry = {
  ...{ type: "file", path: "" as BytePath, linkPath: "" as BytePath, mode: 0o600, uid: 0, gid: 0, size: 0 },
  ...{ mtimeSeconds: 0, mtimeNanoseconds: 0, deviceMajor: 0, deviceMinor: 0, xattrs: [] },
};

function namesIn(path: BytePath): BytePath[] {
  return explained("open", path, (bytes) => readdirSync(bytes, { encoding: "latin1" })).sort() as BytePath[];
}

/** Returns the entry's type, or undefined for a socket, which no archive can hold. */
function typeOf(status: Stats): TarEntryType | undefined {
  if (status.isFile()) return "file";
  if (status.isDirectory()) return "directory";
  if (status.isSymbolicLink()) return "symlink";
  if (status.isCharacterDevice()) return "char";
  if (status.isBlockDevice()) return "block";
  return status.isFIFO() ? "fifo" : undefined;
}

/** Makes the entry; `name` and `linkPath` are byte paths. */
function entryOf(name: string, type: TarEntryType, status: Stats, linkPath: string): TarEntry {
  const isDevice = type === "char" || type === "block";
  const { major, minor } = isDevice ? splitDevice(status.rdev) : { major: 0, minor: 0 };
  return {
    type,
    path: name as BytePath,
    linkPath: linkPath as BytePath,
    mode: status.mode & 0o7777,
    uid: status.uid,
    gid: status.gid,
    size: 0,
    mtimeSeconds: Math.floor(status.mtimeMs / 1000),
    mtimeNanoseconds: 0,
    deviceMajor: major,
    deviceMinor: minor,
    xattrs: [],
  };
}

function explained<T>(call: string, path: BytePath, work: (bytes: Buffer) => T): T {
  try {
    return work(Buffer.from(path, "latin1"));
  } catch (error) {
    throw new CliError(`${call} ${showPath(path)}: ${errnoText(error)}`);
  }
}
