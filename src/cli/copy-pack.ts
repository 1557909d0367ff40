/** What `cp` sends: a file or a tree of this machine as a tar archive. */
import { closeSync, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from "node:fs";
import type { TarEntry, TarEntryType } from "../image/tar-reader.ts";
import { encodeTarHeader, TAR_END, tarPaddingBytes } from "../image/tar-writer.ts";
import {
  type BytePath,
  bytePath,
  getxattrFd,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  showPath,
  splitDevice,
} from "../linux/sys/fs.ts";
import { type CopyEnd, splitPath } from "./container-path.ts";
import { errnoText } from "./env-file.ts";
import { CliError } from "./exit.ts";

/** Large reads: a system call and a chunk header each. */
const READ_BYTES = 256 * 1024;
const CAPABILITY = "security.capability";

/**
 * The archive of `source`, whose first entry is named after it, or "." for what is in a directory. Names are sorted, times
 * are whole seconds, sockets are left out.
 * @throws CliError that names the file
 */
export async function* packTree(source: CopyEnd): AsyncGenerator<Uint8Array> {
  const { base } = splitPath(source.path);
  yield* new Packer().pack(bytePath(source.path), bytePath(source.rebaseName || base));
  yield TAR_END;
}

class Packer {
  /** Archive path of every file that has several names, by device and inode. */
  readonly #links = new Map<string, string>();

  async *pack(path: BytePath, name: BytePath): AsyncGenerator<Uint8Array> {
    const status = explained("lstat", path, (bytes) => lstatSync(bytes));
    const type = typeOf(status);
    if (type === undefined) return;
    if (type === "file") {
      yield* this.#packFile(path, name, status);
      return;
    }
    const readLink = (bytes: Buffer) => readlinkSync(bytes, { encoding: "latin1" });
    const linkPath = type === "symlink" ? explained("readlink", path, readLink) : "";
    yield encodeTarHeader(entryOf(type === "directory" ? `${name}/` : name, type, status, linkPath));
    if (type !== "directory") return;
    const names = explained("open", path, (bytes) => readdirSync(bytes, { encoding: "latin1" })).sort();
    for (const child of names) yield* this.pack(`${path}/${child}` as BytePath, `${name}/${child}` as BytePath);
  }

  async *#packFile(path: BytePath, name: BytePath, status: Stats): AsyncGenerator<Uint8Array> {
    if (status.nlink > 1) {
      const key = `${status.dev}:${status.ino}`;
      const first = this.#links.get(key);
      if (first !== undefined) {
        yield encodeTarHeader(entryOf(name, "hardlink", status, first));
        return;
      }
      this.#links.set(key, name);
    }
    const fd = explained("open", path, (bytes) => openSync(bytes, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    try {
      const opened = fstatSync(fd);
      const capability = getxattrFd(fd, CAPABILITY);
      const xattrs = capability === undefined ? [] : [{ name: CAPABILITY, value: capability }];
      yield encodeTarHeader({ ...entryOf(name, "file", opened, ""), size: opened.size, xattrs });
      for (let left = opened.size; left > 0; ) {
        const buffer = new Uint8Array(Math.min(READ_BYTES, left));
        const count = explained("read", path, () => readSync(fd, buffer));
        if (count === 0) throw new CliError(`read ${showPath(path)}: it became shorter meanwhile`);
        left -= count;
        yield buffer.subarray(0, count);
      }
      yield new Uint8Array(tarPaddingBytes(opened.size));
    } finally {
      closeSync(fd);
    }
  }
}

/** Undefined for sockets, which no archive can hold. */
function typeOf(status: Stats): TarEntryType | undefined {
  if (status.isFile()) return "file";
  if (status.isDirectory()) return "directory";
  if (status.isSymbolicLink()) return "symlink";
  if (status.isCharacterDevice()) return "char";
  if (status.isBlockDevice()) return "block";
  return status.isFIFO() ? "fifo" : undefined;
}

/** `name` and `linkPath` are byte paths. */
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
