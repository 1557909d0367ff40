/** What is known of a directory since its last context was spooled: of that, nothing need be sent. */
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SPOOL_WASTE_MIN_BYTES } from "../../base/limits.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../linux/sys/fs.ts";
import type { TarEntry } from "../tar/tar-reader.ts";
import { isKeptXattr } from "../tar/tree-tar.ts";
import { isDirectory, isFile, isSymlink } from "./source-tree.ts";
import { isSeen } from "./spool-base.ts";
import { AT, INDEX_HEAD_BYTES, NONE, RECORD_BYTES, SEEN_NAME, SMALL_NAME } from "./spool-format.ts";
import { type SpooledEntry, SpooledTree } from "./spooled-tree.ts";

const KINDS: Readonly<Partial<Record<TarEntry["type"], number>>> = {
  ...{ file: S_IFREG, directory: S_IFDIR, symlink: S_IFLNK },
};

export class KnownTree {
  /** The directory of the spooled context. */
  readonly path: string;
  readonly #tree: SpooledTree;
  readonly #seen: Uint8Array;
  #unseenCount: number;
  /** The directory that was asked for last: entries come sorted. */
  #parent: { path: string; entry: SpooledEntry | undefined };

  private constructor(path: string, tree: SpooledTree, count: number) {
    this.path = path;
    this.#tree = tree;
    this.#seen = new Uint8Array(Math.ceil(count / 8));
    this.#unseenCount = count - 1; // nobody sends the root
    this.#parent = { path: "", entry: tree.root };
  }

  /** Opens a spooled context. Returns undefined for one that is of no use: with hard links, or mostly bytes that nobody needs. */
  static open(path: string): KnownTree | undefined {
    const tree = new SpooledTree(path);
    const { index } = tree;
    const count = index.readDoubleLE(0);
    let smallBytes = 0;
    for (let at = INDEX_HEAD_BYTES; at < INDEX_HEAD_BYTES + count * RECORD_BYTES; at += RECORD_BYTES) {
      if (index.readUInt32LE(at + AT.links) > 1) return undefined;
      if (index.readUInt32LE(at + AT.first) === NONE) smallBytes += index.readDoubleLE(at + AT.size);
    }
    const wasteBytes = statSync(join(path, SMALL_NAME)).size - smallBytes;
    return wasteBytes > Math.max(smallBytes, SPOOL_WASTE_MIN_BYTES) ? undefined : new KnownTree(path, tree, count);
  }

  /** Tells whether the entry is known as it is. It stays if it is. */
  has(entry: TarEntry): boolean {
    const path = entry.type === "directory" ? (entry.path.replace(/\/$/, "") as string) : entry.path;
    const slash = path.lastIndexOf("/");
    const known = this.#directory(path.slice(0, Math.max(slash, 0)))?.child(path.slice(slash + 1));
    if (known === undefined || !isSame(known, entry)) return false;
    const number = (known.at - INDEX_HEAD_BYTES) / RECORD_BYTES;
    if (isSeen(this.#seen, number)) return true;
    this.#seen[number >> 3]! |= 1 << (number & 7);
    this.#unseenCount--;
    return true;
  }

  #directory(path: string): SpooledEntry | undefined {
    if (this.#parent.path !== path) {
      let entry: SpooledEntry | undefined = this.#tree.root;
      for (const name of path.split("/")) {
        const child: SpooledEntry | undefined = entry?.child(name);
        entry = child !== undefined && isDirectory(child) ? child : undefined;
      }
      this.#parent = { path, entry };
    }
    return this.#parent.entry;
  }

  /** Whether all that is known is still there. */
  get isWhole(): boolean {
    return this.#unseenCount === 0;
  }

  /** Notes for the new spooled context what of this one stays. */
  writeSeen(directory: string): void {
    writeFileSync(join(directory, SEEN_NAME), this.#seen, { mode: 0o600 });
  }
}

function isSame(known: SpooledEntry, { type, mode, size, xattrs, linkPath, ...times }: TarEntry): boolean {
  const permissions = type === "symlink" ? 0o777 : mode;
  if (known.mode !== ((KINDS[type] ?? 0) | permissions)) return false;
  const { xattrs: knownXattrs, mtimeSeconds, mtimeNanoseconds } = known.attributes();
  if (mtimeSeconds !== times.mtimeSeconds || mtimeNanoseconds !== times.mtimeNanoseconds) return false;
  if (knownXattrs.length > 0 || xattrs.some(({ name }) => isKeptXattr(name))) return false;
  if (isSymlink(known)) return known.target() === linkPath;
  return !isFile(known) || known.size === size;
}
