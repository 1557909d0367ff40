/** A spooled context as a tree to copy from: see spool-format.ts. Only the index is read; bytes are as they are needed. */
import { closeSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { join, posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { SYMLINKS_MAX } from "../../base/limits.ts";
import { tryCopyRangeAt } from "../../linux/sys/copy-range.ts";
import { type BytePath, showPath } from "../../linux/sys/fs.ts";
import type { Attributes } from "../tar/make-entry.ts";
import { LayerTree } from "./layer-tree.ts";
import { isDirectory, isFile, isSymlink, type SourceEntry, type SourceTree } from "./source-tree.ts";
import {
  AT,
  INDEX_HEAD_BYTES,
  INDEX_NAME,
  NONE,
  RECORD_BYTES,
  type Rest,
  SHA256_BYTES,
  SMALL_NAME,
} from "./spool-format.ts";

const READ_BYTES = 256 * 1024;
/** From this length on, the kernel copies. */
const RANGE_MIN_BYTES = 64 * 1024;

export class SpooledTree implements SourceTree {
  readonly #path: string;
  readonly index: Buffer;
  #smallFd = -1;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);

  constructor(path: string) {
    this.#path = path;
    this.index = readFileSync(join(path, INDEX_NAME));
  }

  [Symbol.dispose](): void {
    if (this.#smallFd >= 0) closeSync(this.#smallFd);
  }

  get root(): SpooledEntry {
    return new SpooledEntry(this, 0);
  }

  find(path: BytePath): SpooledEntry | undefined {
    const stack = [this.root];
    const todo = path.split("/").reverse();
    let symlinkCount = 0;
    while (todo.length > 0) {
      const name = todo.pop()!;
      if (name === "" || name === ".") continue;
      if (name === "..") {
        if (stack.length > 1) stack.pop();
        continue;
      }
      const top = stack.at(-1)!;
      const entry = isDirectory(top) ? top.child(name) : undefined;
      if (entry === undefined) return undefined;
      if (isSymlink(entry)) {
        if (++symlinkCount > SYMLINKS_MAX)
          throw new LighterError("invalid", `"${showPath(path)}" has too many levels of symbolic links`);
        if (entry.target().startsWith("/")) stack.splice(1);
        todo.push(...entry.target().split("/").reverse());
      } else stack.push(entry);
    }
    return stack.at(-1)!;
  }

  remove(path: BytePath): void {
    const parent = this.find(posix.dirname(path) as BytePath);
    const entry = parent === undefined || !isDirectory(parent) ? undefined : parent.child(posix.basename(path));
    if (entry === undefined || isDirectory(entry)) return;
    this.index.writeUInt32LE(0, entry.at + AT.mode);
    const fd = openSync(join(this.#path, INDEX_NAME), "r+");
    try {
      writeSync(fd, this.index, entry.at + AT.mode, 4, entry.at + AT.mode);
    } finally {
      closeSync(fd);
    }
  }

  /** Finds the entry of a large file. */
  entryOfLarge(number: number): SpooledEntry {
    for (let at = 0; at < this.index.readDoubleLE(0); at++) {
      const entry = new SpooledEntry(this, at);
      if (entry.largeNumber === number) return entry;
    }
    throw new LighterError("internal", `the spooled context has no large file ${number}`);
  }

  /** Opens a large file. */
  large(number: number): SourceEntry {
    return new LayerTree([this.#path]).find(`/${number}` as BytePath)!;
  }

  get smallFd(): number {
    if (this.#smallFd < 0) this.#smallFd = openSync(join(this.#path, SMALL_NAME), "r");
    return this.#smallFd;
  }

  /** Reads a part of the small files. A piece is valid until the next one is asked for. */
  *small(start: number, length: number): Generator<Uint8Array> {
    for (let at = 0; at < length; ) {
      const count = readSync(this.smallFd, this.#buffer, 0, Math.min(READ_BYTES, length - at), start + at);
      if (count === 0) throw new LighterError("internal", "the spooled context is shorter than its index");
      at += count;
      yield this.#buffer.subarray(0, count);
    }
  }

  /** Zeros for holes. */
  *zeros(length: number): Generator<Uint8Array> {
    for (let at = 0; at < length; at += READ_BYTES) yield new Uint8Array(Math.min(READ_BYTES, length - at));
  }
}

export class SpooledEntry implements SourceEntry {
  readonly #tree: SpooledTree;
  /** Where its record is in the index. */
  readonly at: number;

  constructor(tree: SpooledTree, number: number) {
    this.#tree = tree;
    this.at = INDEX_HEAD_BYTES + number * RECORD_BYTES;
  }

  get mode(): number {
    return this.#u32(AT.mode);
  }

  get size(): number {
    return this.#f64(AT.size);
  }

  get rdev(): number {
    return this.#rest.rdev ?? 0;
  }

  attributes(): Attributes {
    const { xattrs = [] } = this.#rest;
    return {
      ...{ mode: this.mode & 0o7777, uid: 0, gid: 0 },
      ...{ mtimeSeconds: this.#f64(AT.seconds), mtimeNanoseconds: this.#u32(AT.nanoseconds) },
      xattrs: xattrs.map(([name, value]) => ({ name, value: Buffer.from(value, "base64") })),
    };
  }

  target(): BytePath {
    return this.#rest.linkPath! as BytePath;
  }

  identity(): string | undefined {
    return this.#u32(AT.links) > 1 ? `${this.#u32(AT.inode)}` : undefined;
  }

  digest(): string | undefined {
    if (!isFile(this)) return undefined;
    return this.#tree.index.toString("hex", this.at + AT.digest, this.at + AT.digest + SHA256_BYTES);
  }

  *read(): Generator<Uint8Array> {
    const large = this.#large();
    if (large !== undefined) {
      try {
        return yield* large.read();
      } finally {
        large.close();
      }
    }
    let end = 0;
    for (const { offset, start, length } of this.#stretches()) {
      yield* this.#tree.zeros(offset - end);
      yield* this.#tree.small(start, length);
      end = offset + length;
    }
    yield* this.#tree.zeros(this.size - end);
  }

  copyTo(fd: number, beat: () => void): void {
    const large = this.#large();
    if (large === undefined) {
      this.#copySmall(fd, beat);
      return;
    }
    try {
      large.copyTo(fd, beat);
    } finally {
      large.close();
    }
  }

  #copySmall(fd: number, beat: () => void): void {
    let end = 0;
    for (const { offset, start, length } of this.#stretches()) {
      let at = 0;
      if (length >= RANGE_MIN_BYTES) at = Math.max(0, tryCopyRangeAt(this.#tree.smallFd, start, fd, offset, length));
      for (const bytes of this.#tree.small(start + at, length - at)) at += writeAll(fd, bytes, offset + at);
      end = offset + length;
      beat();
    }
    if (end < this.size) ftruncateSync(fd, this.size); // the file ends with a hole
  }

  tryLink(directoryFd: number, name: string): boolean {
    const large = this.#u32(AT.links) > 1 ? undefined : this.#large();
    if (large === undefined) return false;
    const isLinked = large.tryLink(directoryFd, name);
    large.close();
    return isLinked;
  }

  names(): string[] {
    const names: string[] = [];
    for (const number of this.#children()) {
      const child = new SpooledEntry(this.#tree, number);
      if (child.mode !== 0) names.push(child.#name);
    }
    return names;
  }

  child(name: string): SpooledEntry | undefined {
    let [low, high] = [this.#u32(AT.first), this.#u32(AT.first) + this.#u32(AT.count)];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = new SpooledEntry(this.#tree, middle);
      const own = entry.#name;
      if (own === name) return entry.mode === 0 ? undefined : entry;
      if (own < name) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }

  close(): void {}

  #u32(field: number): number {
    return this.#tree.index.readUInt32LE(this.at + field);
  }

  #f64(field: number): number {
    return this.#tree.index.readDoubleLE(this.at + field);
  }

  get #name(): string {
    const at = this.#f64(AT.text);
    return this.#tree.index.toString("latin1", at, at + this.#u32(AT.nameLength));
  }

  get #rest(): Rest {
    const length = this.#u32(AT.restLength);
    if (length === 0) return {};
    const at = this.#f64(AT.text) + this.#u32(AT.nameLength);
    return JSON.parse(this.#tree.index.toString("utf8", at, at + length)) as Rest;
  }

  *#children(): Generator<number> {
    const first = this.#u32(AT.first);
    for (let number = first; number < first + this.#u32(AT.count); number++) yield number;
  }

  /** The number of its large file, or NONE. */
  get largeNumber(): number {
    return isFile(this) ? this.#u32(AT.first) : NONE;
  }

  #large(): SourceEntry | undefined {
    return this.largeNumber === NONE ? undefined : this.#tree.large(this.largeNumber);
  }

  *#stretches(): Generator<{ offset: number; start: number; length: number }> {
    const { stretches = [0, this.#f64(AT.start), this.size] } = this.#rest;
    for (let at = 0; at < stretches.length; at += 3)
      yield { offset: stretches[at]!, start: stretches[at + 1]!, length: stretches[at + 2]! };
  }
}

function writeAll(fd: number, bytes: Uint8Array, position: number): number {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
  return bytes.length;
}
