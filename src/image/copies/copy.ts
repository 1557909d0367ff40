/**
 * Copies what a COPY or an ADD names into a new layer, by BuildKit's rules: of a directory its content, into a directory a file under
 * its own name. A file that stays as it is gets a second name, in place of a copy.
 * Sources: Dockerfile reference, "COPY"; tonistiigi/fsutil copy (what is made, kept, and refused).
 */
import { closeSync } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import {
  type BytePath,
  chmodat,
  kernelError,
  lchownat,
  lutimensat,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  openat,
  showPath,
  tryLinkat,
  tryMknodat,
  trySymlinkat,
} from "../../linux/sys/fs.ts";
import { writeFailure } from "../store/write-failure.ts";
import { type Attributes, setAttributes } from "../tar/make-entry.ts";
import { closeAll } from "../tree/layered-fs.ts";
import type { LayerTarget, Owner, TargetDirectory } from "./layer-target.ts";
import { isDirectory, isFile, isSocket, isSymlink, type SourceEntry } from "./source-tree.ts";
import type { Source } from "./sources.ts";
import { type Selection, type WalkEntry, walk } from "./walk.ts";

interface CopyOptions extends Selection {
  /** The owner of all that is copied; undefined: as in the source. */
  owner?: Owner | undefined;
  /** The mode that replaces one. */
  changeMode?: ((mode: number, isDirectory: boolean) => number) | undefined;
  /** The time of all that is copied; undefined: as in the source. */
  time?: Pick<Attributes, "mtimeSeconds" | "mtimeNanoseconds"> | undefined;
}

interface SourceOptions extends CopyOptions {
  /** True if a file may not become the destination itself, since others would replace it. */
  mustBeInto: boolean;
}

const ROOT: Owner = { uid: 0, gid: 0 };

/** Copies a source to a path, absolute; a slash, or a slash and a dot, at its end says that it is a directory. */
export function copySource(
  target: LayerTarget,
  { entry, path }: Source,
  destination: BytePath,
  options: SourceOptions,
  beat: () => void,
): void {
  const owner = options.owner ?? ROOT;
  const isInto = /(^|\/)\.?$/.test(destination);
  target.directory(isInto ? destination : (posix.dirname(destination) as BytePath), owner);
  const writer = new EntryWriter(target, options, beat);
  if (isDirectory(entry)) {
    const { directory, name } = target.resolve(destination);
    if (name !== undefined) throw notADirectory(posix.join(directory.path, name));
    copyTree(target.directory(destination, owner), entry, { writer, options, beat });
    return;
  }
  const { directory, missing, name } = target.resolve(destination);
  if (options.mustBeInto && (name !== undefined || missing.length > 0))
    throw new LighterError(
      "invalid",
      "with more than one source file, the destination must be a directory and end with a /",
    );
  if (name !== undefined) writer.leaf(directory, name, entry);
  else if (missing.length === 0) writer.leaf(directory, posix.basename(path), entry);
  else {
    const parents = missing.slice(0, -1).join("/");
    const parent = target.directory(posix.join(directory.path, parents) as BytePath, owner);
    writer.leaf(parent, missing.at(-1)!, entry);
  }
}

interface TreeCopy {
  writer: EntryWriter;
  options: CopyOptions;
  beat: () => void;
}

/** Copies the content of a directory. */
function copyTree(top: TargetDirectory, source: SourceEntry, { writer, options, beat }: TreeCopy): void {
  const stack = [top];
  const directory = ({ path, entry }: WalkEntry, isImplied: boolean): void => {
    if (path === "") return;
    const [parent, name] = [stack.at(-1)!, posix.basename(path)];
    const attributes = writer.attributes(entry);
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
  const leaf = ({ path, entry }: WalkEntry): void => writer.leaf(stack.at(-1)!, posix.basename(path), entry);
  const leave = ({ path, entry }: WalkEntry): void => {
    if (path === "") top.touch(writer.attributes(entry));
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

  attributes(entry: SourceEntry): Attributes {
    const { owner, changeMode, time } = this.#options;
    const kept = entry.attributes();
    const mode = changeMode === undefined ? kept.mode : changeMode(kept.mode, isDirectory(entry));
    return { ...kept, ...owner, ...time, mode };
  }

  /** Makes anything but a directory, in place of anything but a directory. Sockets, which no layer holds, are left out. */
  leaf(parent: TargetDirectory, name: string, entry: SourceEntry): void {
    const existing = parent.find(name);
    if (existing !== undefined) {
      closeAll(existing.fds);
      if (existing.stat.isDirectory()) {
        const path = showPath(posix.join(parent.path, name));
        throw new LighterError("invalid", `cannot replace to directory ${path} with file`);
      }
      parent.clear(name, existing);
    }
    this.make(parent, name, entry);
  }

  /** Makes an entry where nothing is. */
  make(parent: TargetDirectory, name: string, entry: SourceEntry): void {
    if (isSocket(entry)) return;
    const directoryFd = parent.fd();
    parent.uncover(name);
    if (isFile(entry)) {
      this.#file(directoryFd, name, posix.join(parent.path, name), entry);
      return;
    }
    const rc = isSymlink(entry)
      ? trySymlinkat(entry.target(), directoryFd, name)
      : tryMknodat(directoryFd, name, entry.mode, BigInt(entry.rdev));
    check(rc, name);
    const { uid, gid, mode, mtimeSeconds, mtimeNanoseconds } = this.attributes(entry);
    lchownat(directoryFd, name, uid, gid);
    if (!isSymlink(entry)) chmodat(directoryFd, name, mode);
    lutimensat(directoryFd, name, mtimeSeconds, mtimeNanoseconds);
  }

  #file(directoryFd: number, name: string, path: string, entry: SourceEntry): void {
    const key = entry.identity();
    const first = key === undefined ? undefined : this.#linked.get(key);
    if (first !== undefined) {
      check(tryLinkat(this.#target.rootFd, first, directoryFd, name), name);
      return;
    }
    if (key !== undefined) this.#linked.set(key, posix.relative("/", path));
    if (this.#keepsAttributes(entry) && entry.tryLink(directoryFd, name)) return;
    this.#copyFile(directoryFd, name, entry);
  }

  #keepsAttributes(entry: SourceEntry): boolean {
    const { owner, changeMode, time } = this.#options;
    if (changeMode !== undefined || time !== undefined) return false;
    if (owner === undefined) return true;
    const { uid, gid } = entry.attributes();
    return owner.uid === uid && owner.gid === gid;
  }

  #copyFile(directoryFd: number, name: string, entry: SourceEntry): void {
    const fd = openat(directoryFd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      entry.copyTo(fd, this.#beat);
      setAttributes(fd, this.attributes(entry), name);
    } catch (error) {
      throw error instanceof LighterError ? error : writeFailure(`/${showPath(name)}`, error);
    } finally {
      closeSync(fd);
    }
  }
}

function check(rc: number, name: string): void {
  if (rc < 0) throw kernelError(rc, `copy "${showPath(name)}"`);
}
