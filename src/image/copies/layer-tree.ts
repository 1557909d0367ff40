/** A stack of layers, or a directory alone, as a tree to copy from. */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { posix } from "node:path";
import { tryCopyRange } from "../../linux/sys/copy-range.ts";
import { type BytePath, O_NONBLOCK, O_RDONLY, readlinkFd, tryLinkFd, tryUnlinkat } from "../../linux/sys/fs.ts";
import type { Attributes } from "../tar/make-entry.ts";
import { readXattrs } from "../tar/tree-tar.ts";
import { closeAll, type Found, identityOf, lookup, namesIn, resolve } from "../tree/layered-fs.ts";
import { attributesOf } from "./layer-target.ts";
import type { SourceEntry, SourceTree } from "./source-tree.ts";

/** How much is copied before the daemon hears of it. */
const RANGE_BYTES = 64 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
const LINK_MIN_BYTES = 1024 * 1024;

export class LayerTree implements SourceTree {
  readonly #layerPaths: readonly string[];

  /** `layerPaths`: topmost first. */
  constructor(layerPaths: readonly string[]) {
    this.#layerPaths = layerPaths;
  }

  find(path: BytePath): LayerEntry | undefined {
    const found = resolve(this.#layerPaths, path, true);
    return found === undefined ? undefined : new LayerEntry(found);
  }

  remove(path: BytePath): void {
    const parent = this.find(posix.dirname(path) as BytePath);
    if (parent === undefined) return;
    tryUnlinkat(parent.found.fds[0]!, posix.basename(path) as BytePath);
    parent.close();
  }

  [Symbol.dispose](): void {}
}

class LayerEntry implements SourceEntry {
  readonly found: Found;

  constructor(found: Found) {
    this.found = found;
  }

  get mode(): number {
    return this.found.stat.mode;
  }

  get size(): number {
    return this.found.stat.size;
  }

  get rdev(): number {
    return this.found.stat.rdev;
  }

  attributes(): Attributes {
    const { fds, stat } = this.found;
    return attributesOf(stat, stat.isSymbolicLink() ? [] : readXattrs(fds[0]!, "", "mounted"));
  }

  target(): BytePath {
    return readlinkFd(this.found.fds[0]!);
  }

  identity(): string | undefined {
    return this.found.stat.nlink > 1 ? identityOf(this.found.fds[0]!) : undefined;
  }

  digest(): undefined {}

  *read(): Generator<Uint8Array> {
    const fd = this.#open();
    try {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer))
        yield buffer.subarray(0, length);
    } finally {
      closeSync(fd);
    }
  }

  copyTo(toFd: number, beat: () => void): void {
    const fd = this.#open();
    try {
      for (let count = 1; count > 0; beat()) {
        count = tryCopyRange(fd, toFd, RANGE_BYTES);
        if (count < 0) count = copyByRead(fd, toFd);
      }
    } finally {
      closeSync(fd);
    }
  }

  // O_NONBLOCK: should it be anything but a regular file after all, opening it must not wait.
  #open(): number {
    return openSync(`/proc/self/fd/${this.found.fds[0]!}`, O_RDONLY | O_NONBLOCK);
  }

  // A file with one name: nobody takes it for one with several, once the other name's layer and this one are seen together. A small
  // one is copied, since there are those that refuse files with two names: cron its tables, for one.
  tryLink(directoryFd: number, name: string): boolean {
    const { nlink, size } = this.found.stat;
    return nlink === 1 && size >= LINK_MIN_BYTES && tryLinkFd(this.found.fds[0]!, directoryFd, name) === 0;
  }

  names(): string[] {
    return [...namesIn(this.found.fds)].sort();
  }

  child(name: string): LayerEntry | undefined {
    const found = lookup(this.found.fds, name);
    return found === undefined ? undefined : new LayerEntry(found);
  }

  close(): void {
    closeAll(this.found.fds);
  }
}

/** Copies by hand, for file systems that cannot. */
function copyByRead(fromFd: number, toFd: number): number {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const length = readSync(fromFd, chunk, 0, chunk.length, null);
  for (let written = 0; written < length; ) written += writeSync(toFd, chunk, written, length - written);
  return length;
}
