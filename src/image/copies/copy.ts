/**
 * Copies what a COPY or an ADD names into a new layer, by BuildKit's rules: of a directory its content, into a directory a file under
 * its own name. A file that stays as it is gets a second name, in place of a copy.
 * Sources: Dockerfile reference, "COPY"; tonistiigi/fsutil copy (what is made, kept, and refused).
 */
import { closeSync, openSync, readSync, type Stats, writeSync } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { tryCopyRange } from "../../linux/sys/copy-range.ts";
import {
  type BytePath,
  chmodat,
  kernelError,
  lchownat,
  lutimensat,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  openat,
  readlinkFd,
  showPath,
  tryLinkat,
  tryLinkFd,
  tryMknodat,
  trySymlinkat,
} from "../../linux/sys/fs.ts";
import { writeFailure } from "../store/write-failure.ts";
import { type Attributes, setAttributes } from "../tar/make-entry.ts";
import { readXattrs } from "../tar/tree-tar.ts";
import { closeAll, type Found, identityOf } from "../tree/layered-fs.ts";
import { attributesOf, type LayerTarget, type Owner, type TargetDirectory } from "./layer-target.ts";
import type { Source } from "./sources.ts";
import { type Selection, type WalkEntry, walk } from "./walk.ts";

interface CopyOptions extends Selection {
  /** The owner of all that is copied; undefined: as in the source. */
  owner?: Owner | undefined;
  /** The mode that replaces one. */
  changeMode?: ((mode: number, isDirectory: boolean) => number) | undefined;
}

interface SourceOptions extends CopyOptions {
  /** True if a file may not become the destination itself, since others would replace it. */
  mustBeInto: boolean;
}

/** How much is copied before the daemon hears of it. */
const RANGE_BYTES = 64 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;

const ROOT: Owner = { uid: 0, gid: 0 };

/** Copies a source to a path, absolute; a slash, or a slash and a dot, at its end says that it is a directory. */
export function copySource(
  target: LayerTarget,
  { found, path }: Source,
  destination: BytePath,
  options: SourceOptions,
  beat: () => void,
): void {
  const owner = options.owner ?? ROOT;
  const isInto = /(^|\/)\.?$/.test(destination);
  target.directory(isInto ? destination : (posix.dirname(destination) as BytePath), owner);
  const writer = new EntryWriter(target, options, beat);
  if (found.stat.isDirectory()) {
    const { directory, name } = target.resolve(destination);
    if (name !== undefined) throw notADirectory(posix.join(directory.path, name));
    copyTree(target.directory(destination, owner), found, { writer, options, beat });
    return;
  }
  const { directory, missing, name } = target.resolve(destination);
  if (options.mustBeInto && (name !== undefined || missing.length > 0))
    throw new LighterError(
      "invalid",
      "with more than one source file, the destination must be a directory and end with a /",
    );
  if (name !== undefined) writer.leaf(directory, name, found);
  else if (missing.length === 0) writer.leaf(directory, posix.basename(path), found);
  else {
    const parents = missing.slice(0, -1).join("/");
    const parent = target.directory(posix.join(directory.path, parents) as BytePath, owner);
    writer.leaf(parent, missing.at(-1)!, found);
  }
}

interface TreeCopy {
  writer: EntryWriter;
  options: CopyOptions;
  beat: () => void;
}

/** Copies the content of a directory. */
function copyTree(top: TargetDirectory, source: Found, { writer, options, beat }: TreeCopy): void {
  const stack = [top];
  const directory = ({ path, found }: WalkEntry, isImplied: boolean): void => {
    if (path === "") return;
    const [parent, name] = [stack.at(-1)!, posix.basename(path)];
    const attributes = writer.attributes(found);
    const existing = parent.find(name);
    if (existing === undefined) {
      stack.push(parent.make(name, attributes));
    } else if (existing.stat.isDirectory()) {
      const child = parent.open(name, existing);
      stack.push(child);
      if (!isImplied) child.change(attributes);
    } else {
      closeAll(existing.fds);
      throw notADirectory(posix.join(parent.path, name));
    }
  };
  const leaf = ({ path, found }: WalkEntry): void => writer.leaf(stack.at(-1)!, posix.basename(path), found);
  const leave = ({ path, found }: WalkEntry): void => {
    if (path === "") top.touch(writer.attributes(found));
    else stack.pop()!.close();
  };
  try {
    walk(source, options, { directory, leaf, leave }, beat);
  } finally {
    for (const each of stack.splice(1)) each.close();
  }
}

function notADirectory(path: string): LighterError {
  return new LighterError("invalid", `cannot copy to non-directory: ${showPath(path)}`);
}

/** Makes single entries. */
export class EntryWriter {
  readonly #target: LayerTarget;
  readonly #options: CopyOptions;
  readonly #beat: () => void;
  /** For each file with several names, the path of the first, from the new layer's root. */
  readonly #linked = new Map<string, string>();

  constructor(target: LayerTarget, options: CopyOptions, beat: () => void) {
    this.#target = target;
    this.#options = options;
    this.#beat = beat;
  }

  attributes({ fds, stat }: Found): Attributes {
    const { owner, changeMode } = this.#options;
    const kept = attributesOf(stat, stat.isSymbolicLink() ? [] : readXattrs(fds[0]!, "", "mounted"));
    const mode = changeMode === undefined ? kept.mode : changeMode(kept.mode, stat.isDirectory());
    return { ...kept, ...owner, mode };
  }

  /** Makes anything but a directory, in place of anything but a directory. Sockets, which no layer holds, are left out. */
  leaf(parent: TargetDirectory, name: string, found: Found): void {
    const existing = parent.find(name);
    if (existing !== undefined) {
      closeAll(existing.fds);
      if (existing.stat.isDirectory()) {
        const path = showPath(posix.join(parent.path, name));
        throw new LighterError("invalid", `cannot replace to directory ${path} with file`);
      }
      parent.clear(name, existing);
    }
    this.make(parent, name, found);
  }

  /** Makes an entry where nothing is. */
  make(parent: TargetDirectory, name: string, found: Found): void {
    const { stat } = found;
    if (stat.isSocket()) return;
    const directoryFd = parent.fd();
    if (stat.isFile()) {
      this.#file(directoryFd, name, posix.join(parent.path, name), found);
      return;
    }
    const rc = stat.isSymbolicLink()
      ? trySymlinkat(readlinkFd(found.fds[0]!), directoryFd, name)
      : tryMknodat(directoryFd, name, stat.mode, BigInt(stat.rdev));
    check(rc, name);
    const { uid, gid, mode, mtimeSeconds, mtimeNanoseconds } = this.attributes(found);
    lchownat(directoryFd, name, uid, gid);
    if (!stat.isSymbolicLink()) chmodat(directoryFd, name, mode);
    lutimensat(directoryFd, name, mtimeSeconds, mtimeNanoseconds);
  }

  #file(directoryFd: number, name: string, path: string, found: Found): void {
    const { fds, stat } = found;
    const key = stat.nlink > 1 ? identityOf(fds[0]!) : undefined;
    const first = key === undefined ? undefined : this.#linked.get(key);
    if (first !== undefined) {
      check(tryLinkat(this.#target.rootFd, first, directoryFd, name), name);
      return;
    }
    if (key !== undefined) this.#linked.set(key, posix.relative("/", path));
    const isSame = this.#keepsAttributes(stat);
    // A file with one name: nobody takes it for one with several, once the other name's layer and this one are seen together.
    if (isSame && stat.nlink === 1 && tryLinkFd(fds[0]!, directoryFd, name) === 0) return;
    this.#copyFile(directoryFd, name, found);
  }

  #keepsAttributes({ uid, gid }: Stats): boolean {
    const { owner, changeMode } = this.#options;
    return changeMode === undefined && (owner === undefined || (owner.uid === uid && owner.gid === gid));
  }

  #copyContent(fromFd: number, toFd: number, name: string): void {
    try {
      for (let count = 1; count > 0; this.#beat()) {
        count = tryCopyRange(fromFd, toFd, RANGE_BYTES);
        if (count < 0) count = copyByRead(fromFd, toFd);
      }
    } catch (error) {
      throw writeFailure(`/${showPath(name)}`, error);
    }
  }

  #copyFile(directoryFd: number, name: string, found: Found): void {
    // O_NONBLOCK: should it be anything but a regular file after all, opening it must not wait.
    const sourceFd = openSync(`/proc/self/fd/${found.fds[0]!}`, O_RDONLY | O_NONBLOCK);
    try {
      const fd = openat(directoryFd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      try {
        this.#copyContent(sourceFd, fd, name);
        setAttributes(fd, this.attributes(found), name);
      } finally {
        closeSync(fd);
      }
    } finally {
      closeSync(sourceFd);
    }
  }
}

/** Copies by hand, for file systems that cannot. */
function copyByRead(fromFd: number, toFd: number): number {
  const chunk = Buffer.allocUnsafe(READ_BYTES);
  const length = readSync(fromFd, chunk, 0, chunk.length, null);
  for (let written = 0; written < length; ) written += writeSync(toFd, chunk, written, length - written);
  return length;
}

function check(rc: number, name: string): void {
  if (rc < 0) throw kernelError(rc, `copy "${showPath(name)}"`);
}
