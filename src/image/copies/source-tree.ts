/** What COPY and ADD copy from: trees of files, whether they are directories of the host or a context as it came. */
import { type BytePath, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from "../../linux/sys/fs.ts";
import type { Attributes } from "../tar/make-entry.ts";

export interface SourceTree extends Disposable {
  /** Finds what a path leads to, symlinks followed, inside the tree. The caller closes it. @throws LighterError for too many symlinks */
  find(path: BytePath): SourceEntry | undefined;
  /** Takes an entry out of the tree, if it is there. Symlinks on the way to it are followed. */
  remove(path: BytePath): void;
}

/** A file, a directory or anything else in a tree. */
export interface SourceEntry {
  /** The kind and the permissions, as in stat(2). */
  readonly mode: number;
  readonly size: number;
  readonly rdev: number;
  attributes(): Attributes;
  /** Where a symlink leads to. */
  target(): BytePath;
  /** The same for all names of one file; undefined for a file with one name. */
  identity(): string | undefined;
  /** The sha256 of a file's bytes, if it is known. */
  digest(): string | undefined;
  /** The bytes of a file. A piece is valid until the next one is asked for. */
  read(): Iterable<Uint8Array>;
  /** Writes the bytes of a file into an empty one. */
  copyTo(fd: number, beat: () => void): void;
  /** Gives a file that has one name and these attributes a second one, in place of a copy. Returns whether that was possible. */
  tryLink(directoryFd: number, name: string): boolean;
  /** The names in a directory, one char per byte, sorted. */
  names(): readonly string[];
  /** An entry of a directory, which the caller closes; undefined if there is none. */
  child(name: string): SourceEntry | undefined;
  close(): void;
}

/** Reads a file, which its caller knows to be short. */
export function readWhole(entry: SourceEntry): Buffer {
  return Buffer.concat(Array.from(entry.read(), (bytes) => new Uint8Array(bytes)));
}

const isOf =
  (kind: number) =>
  ({ mode }: Pick<SourceEntry, "mode">) =>
    (mode & S_IFMT) === kind;

export const isDirectory = isOf(S_IFDIR);
export const isFile = isOf(S_IFREG);
export const isSymlink = isOf(S_IFLNK);
export const isSocket = isOf(S_IFSOCK);
