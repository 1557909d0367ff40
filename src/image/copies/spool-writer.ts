/**
 * Spools a context: takes its tar, hashes the files while they come, and keeps them as few files, with an index. What the tar says of
 * links concerns the index alone; nothing of the host is looked up by a path of the tar.
 */
import { closeSync, fstatSync, linkSync, openSync, readSync, writeSync } from "node:fs";
import { join, posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import {
  BUILD_DOCKERFILE_MAX_BYTES,
  CONTEXT_TAR_MAX_ENTRIES,
  LAYER_PATH_MAX_DEPTH,
  SYMLINKS_MAX,
} from "../../base/limits.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import {
  type BytePath,
  bytePath,
  ELOOP,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  EPERM,
  kernelError,
  makeDevice,
  NAME_MAX,
  O_DIRECTORY,
  O_PATH,
  openat,
  PATH_MAX,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  showPath,
  tryUnlinkat,
} from "../../linux/sys/fs.ts";
import type { FileRange } from "../../spec/file-range.ts";
import { writeFailure } from "../store/write-failure.ts";
import { EntryFile } from "../tar/make-entry.ts";
import type { TarEntry, TarEntryType, TarSink } from "../tar/tar-reader.ts";
import { isKeptXattr } from "../tar/tree-tar.ts";
import { FileRecall, type KnownDigests } from "./file-recall.ts";
import { SpoolBase } from "./spool-base.ts";
import { INDEX_NAME, NONE, type Rest, SHA256_BYTES, SMALL_NAME } from "./spool-format.ts";
import { type SpoolNode, writeIndex } from "./write-index.ts";

/** A file of this size gets a file of its own, which a layer can have as it is. */
const LARGE_BYTES = 1024 * 1024;
const BUFFER_BYTES = 512 * 1024;
const READ_BYTES = 512 * 1024;
/** The bytes of smaller files are always there: a Dockerfile may be among them. */
const RECALLED_MIN_BYTES = BUILD_DOCKERFILE_MAX_BYTES + 1;
/** How many files may be missing: their paths are in one message. */
const ABSENT_MAX = 100;
const IMPLIED_PARENT_MODE = 0o755;
const ZEROS = Buffer.alloc(64 * 1024);

const KIND_BITS: Readonly<Record<Exclude<TarEntryType, "hardlink">, number>> = {
  ...{ file: S_IFREG, directory: S_IFDIR, symlink: S_IFLNK, char: S_IFCHR, block: S_IFBLK, fifo: S_IFIFO },
};

/** A large file, by its number, and its path in the tar, in bytes. */
export interface AbsentFile {
  number: number;
  path: string;
}

interface SpoolOptions {
  known?: KnownDigests | undefined;
  basePath?: string | undefined;
}

export class SpoolWriter implements TarSink, Disposable {
  readonly #directoryFd: number;
  readonly #small: SmallFiles;
  readonly #large = new EntryFile();
  readonly #spoolPath: string;
  readonly #base: SpoolBase | undefined;
  readonly #root: SpoolNode;
  #largeCount: number;
  #entryCount = 0;
  /** The file whose bytes are coming. */
  #file: SpoolNode | undefined;
  /** Begins anew with each digest. */
  readonly #hash = new Bun.CryptoHasher("sha256");
  /** Bun writes no digest into less room than this. */
  readonly #digest = new Uint8Array(64);
  readonly #digests = new Digests();
  #end = 0;
  #read: Buffer | undefined;
  readonly #recalled: FileRecall | undefined;
  /** The path of the file whose bytes are coming. */
  #path = "";
  /** The large files whose bytes are missing. */
  readonly absent: AbsentFile[] = [];
  #parent: { path: string; node: SpoolNode } | undefined;

  /**
   * Spools into a directory, which is empty. What `known` knows of large files that are in others is not read. With a base, the tar has
   * what differs from that; what stays is noted in "seen".
   */
  constructor(path: string, { known, basePath }: SpoolOptions = {}) {
    this.#spoolPath = path;
    this.#recalled = known && new FileRecall(known);
    this.#base = basePath === undefined ? undefined : new SpoolBase(basePath, (digest) => this.#digests.add(digest));
    this.#root = this.#base?.root ?? directoryNode(IMPLIED_PARENT_MODE, 0, 0);
    this.#largeCount = this.#base?.largeEnd ?? 0;
    this.#directoryFd = openat(AT_FDCWD, bytePath(path), O_PATH | O_DIRECTORY);
    if (basePath !== undefined) linkSync(join(basePath, SMALL_NAME), join(path, SMALL_NAME));
    this.#small = new SmallFiles(join(path, SMALL_NAME));
  }

  [Symbol.dispose](): void {
    this.#large.close();
    this.#small.close();
    closeSync(this.#directoryFd);
  }

  entry(entry: TarEntry): void {
    if (++this.#entryCount > CONTEXT_TAR_MAX_ENTRIES)
      throw new LighterError("invalid", `the build context has more than ${CONTEXT_TAR_MAX_ENTRIES} files`);
    const path = pathOf(entry.path);
    if (path === "/") return; // the directory itself stays as it is
    const parent = this.#parentOf(path);
    const name = posix.basename(path);
    if (name.length > NAME_MAX) throw kernelError(ENAMETOOLONG, `create "${showPath(path)}"`);
    if (entry.type === "hardlink") this.#link(parent, name, entry);
    else if (entry.type === "directory") this.#directory(parent, name, entry);
    else put(parent, name, this.#leaf(entry));
  }

  #link(parent: SpoolNode, name: string, { path, linkPath }: TarEntry): void {
    const target = pathOf(linkPath);
    take(parent, name); // what is in the way goes first, even if it has the target in it
    const node = this.#walk(posix.dirname(target), false)?.children?.get(posix.basename(target));
    if (node === undefined) throw kernelError(ENOENT, `create "${showPath(path)}"`);
    if (node.children !== undefined) throw kernelError(EPERM, `create "${showPath(path)}"`);
    parent.children!.set(name, node);
    node.links++;
  }

  #directory(parent: SpoolNode, name: string, entry: TarEntry): void {
    const node = parent.children!.get(name);
    if (node?.children === undefined) {
      put(parent, name, nodeOf(entry, new Map()));
      return;
    }
    const { mode, seconds, nanoseconds, rest, inode } = nodeOf(entry, undefined);
    Object.assign(node, { mode, seconds, nanoseconds, rest, inode });
  }

  #leaf(entry: TarEntry): SpoolNode {
    const node = nodeOf(entry, undefined);
    if (entry.type !== "file") return node;
    this.#file = node;
    this.#path = entry.path;
    this.#end = 0;
    node.size = entry.size;
    if (entry.size < LARGE_BYTES) {
      node.start = this.#small.size;
      return node;
    }
    node.large = this.#largeCount++;
    const rc = this.#large.create(this.#directoryFd, `${node.large}`, {
      ...entry,
      uid: 0,
      gid: 0,
      xattrs: keptOf(entry),
    });
    if (rc < 0) throw kernelError(rc, `create "${showPath(entry.path)}"`);
    return node;
  }

  data(bytes: Uint8Array, offset: number): void {
    this.#recalled?.mix();
    this.#take(bytes, offset);
  }

  #take(bytes: Uint8Array, offset: number): void {
    const file = this.#file!;
    if (offset > this.#end) this.#hole(offset);
    this.#hash.update(bytes);
    this.#end = offset + bytes.length;
    if (file.large !== NONE) {
      this.#large.write(bytes, offset);
      return;
    }
    if (file.rest?.stretches !== undefined) addStretch(file, offset, this.#small.size, bytes.length);
    this.#small.write(bytes);
  }

  /** Reads what is in a file of the client's, unless it is known: it is hashed, so that the kernel alone could not move it. */
  dataIn(range: FileRange, offset: number): void {
    const { fd, offset: from, length } = range;
    this.#recall(range, offset);
    if (this.#recalled?.digest !== undefined) {
      this.#end = offset + length;
      return;
    }
    this.#read ??= Buffer.allocUnsafeSlow(READ_BYTES);
    for (let done = 0; done < length; ) {
      const count = readSync(fd, this.#read, 0, Math.min(READ_BYTES, length - done), from + done);
      if (count === 0)
        throw new LighterError("invalid", "a file of the build context became shorter while it was read");
      this.#take(this.#read.subarray(0, count), offset + done);
      done += count;
    }
  }

  #recall(range: FileRange, offset: number): void {
    const { size, large } = this.#file!;
    if (this.#recalled === undefined || size < RECALLED_MIN_BYTES) return;
    if (offset === 0 && this.absent.length === ABSENT_MAX) return;
    this.#recalled.take(range, offset, size);
    if (offset > 0 || this.#recalled.digest === undefined) return;
    this.#large.close();
    tryUnlinkat(this.#directoryFd, `${large}`);
    this.absent.push({ number: large, path: this.#path });
  }

  /** Hashes the zeros up to a place. What is before it is in `small`, and so is what comes, but not they. */
  #hole(offset: number): void {
    const file = this.#file!;
    if (file.large === NONE && file.rest?.stretches === undefined) addStretch(file, 0, file.start, this.#end);
    for (; this.#end < offset; this.#end += ZEROS.length)
      this.#hash.update(ZEROS.subarray(0, Math.min(ZEROS.length, offset - this.#end)));
  }

  endEntry(): void {
    const file = this.#file;
    if (file === undefined) return;
    const known = this.#recalled?.digest;
    if (known === undefined) {
      if (file.size > this.#end) this.#hole(file.size);
      this.#hash.digest(this.#digest);
      if (file.large !== NONE) this.#large.finish();
    } else this.#digest.set(Buffer.from(known, "hex"));
    file.digest = this.#digests.add(this.#digest);
    this.#recalled?.end(Buffer.from(this.#digests.at(file.digest)).toString("hex"), file.size);
    this.#file = undefined;
  }

  /** Writes the index. Call once, after the reader's end. */
  finish(): void {
    this.#small.flush();
    this.#base?.settle(this.#spoolPath);
    writeIndex(join(this.#spoolPath, INDEX_NAME), this.#root, this.#digests);
  }

  /** The directory that an entry is in. Missing ones are made. */
  #parentOf(path: string): SpoolNode {
    const parentPath = posix.dirname(path);
    if (this.#parent?.path !== parentPath) this.#parent = { path: parentPath, node: this.#walk(parentPath, true)! };
    return this.#parent.node;
  }

  /** The directory that a path leads to, symlinks followed. If it is missing it is made, or undefined. */
  #walk(path: string, makes: boolean): SpoolNode | undefined {
    const stack = [this.#root];
    const todo = path.split("/").reverse();
    let symlinkCount = 0;
    /** The number of components that come from a symlink's target: none of those is made. */
    let led = 0;
    while (todo.length > 0) {
      const isLed = led > 0;
      led = Math.max(0, led - 1);
      const name = todo.pop()!;
      if (name === "" || name === ".") continue;
      if (name === "..") {
        if (stack.length > 1) stack.pop();
        continue;
      }
      const { children } = stack.at(-1)!;
      let node = children!.get(name);
      if (node?.rest?.linkPath !== undefined) {
        if (++symlinkCount > SYMLINKS_MAX) throw kernelError(ELOOP, `open "${showPath(path)}"`);
        const target = node.rest.linkPath.split("/");
        if (node.rest.linkPath.startsWith("/")) stack.splice(1);
        todo.push(...target.reverse());
        led += target.length;
        continue;
      }
      if (node === undefined) {
        if (!makes) return undefined;
        if (isLed) throw kernelError(ENOENT, `open "${showPath(path)}"`);
        if (name.length > NAME_MAX) throw kernelError(ENAMETOOLONG, `mkdir "${showPath(path)}"`);
        node = directoryNode(IMPLIED_PARENT_MODE, Math.floor(Date.now() / 1000), 0);
        children!.set(name, node);
      }
      if (node.children === undefined) throw kernelError(ENOTDIR, `open "${showPath(path)}"`);
      stack.push(node);
    }
    return stack.at(-1)!;
  }
}

/** Puts an entry in place of what is there. */
function put(parent: SpoolNode, name: string, node: SpoolNode): void {
  take(parent, name);
  parent.children!.set(name, node);
}

function take(parent: SpoolNode, name: string): void {
  const old = parent.children!.get(name);
  if (old !== undefined) release(old);
  parent.children!.delete(name);
}

/** Files below what has gone have lost a name. */
function release(node: SpoolNode): void {
  node.links--;
  for (const child of node.children?.values() ?? []) release(child);
}

function addStretch(file: SpoolNode, offset: number, start: number, length: number): void {
  const stretches = (file.rest?.stretches ?? []) as number[];
  const [lastOffset, lastStart, lastLength] = stretches.slice(-3);
  if (lastOffset !== undefined && lastOffset + lastLength! === offset && lastStart! + lastLength! === start)
    stretches[stretches.length - 1] = lastLength! + length;
  else if (length > 0) stretches.push(offset, start, length);
  file.rest = { ...file.rest, stretches };
}

function directoryNode(mode: number, seconds: number, nanoseconds: number): SpoolNode {
  return { ...EMPTY, mode: S_IFDIR | mode, seconds, nanoseconds, children: new Map() };
}

const EMPTY = { size: 0, links: 1, large: NONE, start: 0, digest: NONE, rest: undefined, inode: NONE };

function nodeOf(entry: TarEntry, children: Map<string, SpoolNode> | undefined): SpoolNode {
  const { type, mode, mtimeSeconds: seconds, mtimeNanoseconds: nanoseconds } = entry;
  const bits = KIND_BITS[type as Exclude<TarEntryType, "hardlink">];
  // A symlink has no permissions of its own.
  const permissions = type === "symlink" ? 0o777 : mode;
  return { ...EMPTY, mode: bits | permissions, seconds, nanoseconds, children, rest: restOf(entry) };
}

function restOf({ type, path, linkPath, deviceMajor, deviceMinor, xattrs }: TarEntry): Rest | undefined {
  const kept = type === "symlink" ? [] : keptOf({ xattrs });
  const isDevice = type === "char" || type === "block";
  if (type !== "symlink" && !isDevice && kept.length === 0) return undefined;
  if (type === "symlink" && linkPath === "") throw kernelError(ENOENT, `create "${showPath(path)}"`);
  if (linkPath.length >= PATH_MAX) throw kernelError(ENAMETOOLONG, `create "${showPath(path)}"`);
  return {
    ...(type === "symlink" ? { linkPath } : {}),
    ...(isDevice ? { rdev: Number(makeDevice(deviceMajor, deviceMinor)) } : {}),
    ...(kept.length === 0
      ? {}
      : { xattrs: kept.map(({ name, value }) => [name, Buffer.from(value).toString("base64")]) }),
  };
}

function keptOf({ xattrs }: Pick<TarEntry, "xattrs">): TarEntry["xattrs"] {
  return xattrs.filter(({ name }) => isKeptXattr(name));
}

/** The path of an entry from the context's root, above which there is nothing: "../x" is "x" there. @throws LighterError */
function pathOf(given: BytePath): string {
  if (given.length >= PATH_MAX)
    throw new LighterError("invalid", `"${showPath(given.slice(0, 80))}…" is longer than ${PATH_MAX - 1} bytes`);
  const path = posix.join("/", given).replace(/(.)\/$/, "$1");
  if (path.split("/").length > LAYER_PATH_MAX_DEPTH)
    throw new LighterError("invalid", `"${showPath(given)}" is deeper than ${LAYER_PATH_MAX_DEPTH} directories`);
  return path;
}

/** Digests one after the other: an object for each would take more than the digest. */
class Digests {
  #bytes = new Uint8Array(1024 * SHA256_BYTES);
  #count = 0;

  /** Adds what the bytes begin with. Returns its number. */
  add(bytes: Uint8Array): number {
    if (this.#count * SHA256_BYTES === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.at(this.#count).set(bytes.subarray(0, SHA256_BYTES));
    return this.#count++;
  }

  at(number: number): Uint8Array {
    return this.#bytes.subarray(number * SHA256_BYTES, (number + 1) * SHA256_BYTES);
  }
}

/** The bytes of many files in one, which may have some already. */
class SmallFiles {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #length = 0;
  size: number;

  constructor(path: string) {
    this.#fd = openSync(path, "a", 0o600);
    this.size = fstatSync(this.#fd).size;
  }

  write(bytes: Uint8Array): void {
    this.size += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + BUFFER_BYTES - this.#length);
      this.#buffer.set(part, this.#length);
      this.#length += part.length;
      at += part.length;
      if (this.#length === BUFFER_BYTES) this.flush();
    }
  }

  flush(): void {
    try {
      for (let at = 0; at < this.#length; ) at += writeSync(this.#fd, this.#buffer, at, this.#length - at);
    } catch (error) {
      throw writeFailure("the build's context", error);
    }
    this.#length = 0;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Spools a file, as it would be downloaded, of which only the digest is known. It can be hashed, not read. */
export function spoolDigest(path: string, name: BytePath, digest: string): void {
  const root = directoryNode(IMPLIED_PARENT_MODE, 0, 0);
  root.children!.set(name, {
    ...EMPTY,
    mode: S_IFREG | 0o600,
    seconds: 0,
    nanoseconds: 0,
    children: undefined,
    digest: 0,
  });
  const bytes = Buffer.from(digest.replace(/^sha256:/, ""), "hex");
  writeIndex(join(path, INDEX_NAME), root, { at: () => bytes });
}
