/**
 * A layer that is being composed over others: what COPY and ADD make, as the upper directory of an overlay would hold it.
 *
 * The layers below never change, and nobody else sees the new one. So paths are resolved here, in the merged view, and no overlay is
 * mounted. A directory appears in the new layer, with the attributes that it has below, as soon as something is made in it.
 */
import { closeSync, fstatSync, type Stats } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { LAYER_PATH_MAX_DEPTH, SYMLINKS_MAX } from "../../base/limits.ts";
import { removeTreeAt } from "../../linux/remove-tree.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import {
  type BytePath,
  bytePath,
  EEXIST,
  fsetxattr,
  kernelError,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openat,
  readlinkFd,
  showPath,
  tryMkdirat,
  tryOpenat,
  tryUnlinkat,
} from "../../linux/sys/fs.ts";
import { type Attributes, setAttributes } from "../tar/make-entry.ts";
import { readXattrs } from "../tar/tree-tar.ts";
import { opaqueXattr } from "../tar/unpack.ts";
import { closeAll, type Found, isOpaque, lookup, openRoots } from "../tree/layered-fs.ts";

export interface Owner {
  uid: number;
  gid: number;
}

/** Attributes of a directory that is made because something is to be in it. */
const DEFAULT_MODE = 0o755;
const OPAQUE = Uint8Array.of(0x79); // "y"

export function attributesOf({ mode, uid, gid, mtimeMs }: Stats, xattrs: Attributes["xattrs"]): Attributes {
  const mtimeSeconds = Math.floor(mtimeMs / 1000);
  const mtimeNanoseconds = Math.floor((mtimeMs - mtimeSeconds * 1000) * 1e6);
  return { mode: mode & 0o7777, uid, gid, xattrs, mtimeSeconds, mtimeNanoseconds };
}

function newAttributes({ uid, gid }: Owner): Attributes {
  return { mode: DEFAULT_MODE, uid, gid, xattrs: [], mtimeSeconds: Math.floor(Date.now() / 1000), mtimeNanoseconds: 0 };
}

/** A directory of the merged view, and its part of the new layer. */
export class TargetDirectory {
  readonly path: BytePath;
  readonly #parent: TargetDirectory | undefined;
  readonly #name: string;
  /** The directory in the new layer, once it is there. */
  #upperFd: number | undefined;
  readonly #belowFds: number[];
  /** The attributes that it gets when nothing more is made in it. */
  #attributes: Attributes | undefined;
  /** Names of directories below that something else has replaced. */
  readonly #replaced: Set<string>;

  constructor(
    path: BytePath,
    place: { parent?: TargetDirectory; name: string; replaced: Set<string> },
    fds: { upperFd: number | undefined; belowFds: number[] },
  ) {
    this.path = path;
    this.#parent = place.parent;
    this.#name = place.name;
    this.#replaced = place.replaced;
    this.#upperFd = fds.upperFd;
    this.#belowFds = fds.belowFds;
  }

  /** Looks an entry up. The caller closes its fds. */
  find(name: string): Found | undefined {
    return lookup(this.#upperFd === undefined ? this.#belowFds : [this.#upperFd, ...this.#belowFds], name);
  }

  /** Opens a directory that `find` has found; its fds are the child's from now on. */
  open(name: string, { fds }: Found): TargetDirectory {
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    const upperFd = this.#upperFd === undefined ? -1 : tryOpenat(this.#upperFd, name, flags);
    if (upperFd < 0) return this.#child(name, undefined, fds);
    closeSync(fds[0]!); // it is the same directory
    const child = this.#child(name, upperFd, isOpaque(upperFd) ? [] : fds.slice(1));
    child.#attributes = attributesOf(fstatSync(upperFd), []); // making something in it changes its time
    return child;
  }

  #child(name: string, upperFd: number | undefined, belowFds: number[]): TargetDirectory {
    const path = posix.join(this.path, name) as BytePath;
    return new TargetDirectory(path, { parent: this, name, replaced: this.#replaced }, { upperFd, belowFds });
  }

  /** Makes a directory where nothing is. */
  make(name: string, attributes: Attributes): TargetDirectory {
    const parentFd = this.fd();
    const path = posix.join(this.path, name) as BytePath;
    if (path.split("/").length > LAYER_PATH_MAX_DEPTH)
      throw new LighterError("invalid", `"${showPath(path)}" is deeper than ${LAYER_PATH_MAX_DEPTH} directories`);
    this.uncover(name);
    const fd = makeDirectory(parentFd, name);
    if (this.#replaced.has(path)) fsetxattr(fd, opaqueXattr(), OPAQUE, path);
    const child = this.#child(name, fd, []);
    child.#attributes = attributes;
    return child;
  }

  /** The directory in the new layer, which is made if need be. */
  fd(): number {
    if (this.#upperFd !== undefined) return this.#upperFd;
    const [belowFd] = this.#belowFds;
    this.#attributes ??= attributesOf(fstatSync(belowFd!), readXattrs(belowFd!, this.path, "mounted"));
    this.#upperFd = makeDirectory(this.#parent!.fd(), this.#name);
    return this.#upperFd;
  }

  /** Gives it other attributes. */
  change(attributes: Attributes): void {
    this.fd();
    this.#attributes = attributes;
  }

  /** Gives it some other attributes. */
  adjust(changed: Partial<Attributes>): void {
    const fd = this.fd();
    this.#attributes = { ...(this.#attributes ?? attributesOf(fstatSync(fd), [])), ...changed };
  }

  /** Notes that something hides the entry below. */
  cover(name: string): void {
    this.#replaced.add(posix.join(this.path, name));
  }

  /** Takes away what hides an entry below, because another one is made there. */
  uncover(name: string): void {
    if (this.#replaced.has(posix.join(this.path, name))) tryUnlinkat(this.fd(), name);
  }

  /** Gives it another time, if it is in the new layer. */
  touch({ mtimeSeconds, mtimeNanoseconds }: Attributes): void {
    if (this.#attributes !== undefined) this.#attributes = { ...this.#attributes, mtimeSeconds, mtimeNanoseconds };
  }

  /** Removes an entry from the merged view, so that something else can be made there. */
  clear(name: string, { stat }: Found): void {
    removeTreeAt(this.fd(), name, () => {});
    if (stat.isDirectory()) this.#replaced.add(posix.join(this.path, name));
  }

  close(): void {
    if (this.#upperFd !== undefined) {
      if (this.#attributes !== undefined) setAttributes(this.#upperFd, this.#attributes, this.path);
      closeSync(this.#upperFd);
    }
    closeAll(this.#belowFds);
  }
}

function makeDirectory(parentFd: number, name: string): number {
  const rc = tryMkdirat(parentFd, name, 0o700);
  if (rc < 0 && rc !== EEXIST) throw kernelError(rc, `mkdir "${showPath(name)}"`);
  return openat(parentFd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/** What a path leads to: the directory in which it ends, and the names from there on that do not exist. */
interface Resolved {
  directory: TargetDirectory;
  missing: string[];
  /** Set if it leads to something that is no directory, which is in `directory`. */
  name?: string;
}

/** The new layer as a whole. Of the directories on the way to where something is made, those stay open that are used next. */
export class LayerTarget implements Disposable {
  /** From "/" down to the directory that is used. */
  readonly #chain: TargetDirectory[];

  /** `upperPath` is an empty directory; `lowerPaths` are the layers below, topmost first. */
  constructor(upperPath: string, lowerPaths: readonly string[]) {
    const upperFd = openat(AT_FDCWD, bytePath(upperPath), O_RDONLY | O_DIRECTORY);
    const place = { name: "", replaced: new Set<string>() };
    this.#chain = [new TargetDirectory("/" as BytePath, place, { upperFd, belowFds: openRoots(lowerPaths) })];
  }

  /**
   * Opens the directory that a path leads to, symlinks followed; missing ones are made. It is valid until the next call.
   * @throws LighterError ("invalid") if something on the way is no directory.
   */
  directory(path: BytePath, owner: Owner): TargetDirectory {
    const { directory, missing, name } = this.resolve(path);
    if (name !== undefined)
      throw new LighterError("invalid", `mkdir ${showPath(posix.join(directory.path, name))}: not a directory`);
    let last = directory;
    for (const each of missing) {
      last = last.make(each, newAttributes(owner));
      this.#chain.push(last);
    }
    return last;
  }

  /** @throws LighterError ("invalid") if something on the way is no directory, or there are too many symlinks. */
  resolve(path: BytePath): Resolved {
    this.#leave(1);
    const todo = path.split("/").reverse();
    let symlinkCount = 0;
    while (todo.length > 0) {
      const component = todo.pop()!;
      const directory = this.#chain.at(-1)!;
      if (component === "" || component === ".") continue;
      if (component === "..") {
        this.#leave(Math.max(1, this.#chain.length - 1));
        continue;
      }
      const found = directory.find(component);
      if (found === undefined) {
        const missing = posix.normalize([component, ...todo.reverse()].join("/")).split("/");
        return { directory, missing: missing.filter((name) => name !== "" && name !== "." && name !== "..") };
      }
      if (found.stat.isDirectory()) {
        this.#chain.push(directory.open(component, found));
        continue;
      }
      const target = found.stat.isSymbolicLink() ? readlinkOf(found) : undefined;
      closeAll(found.fds);
      if (target === undefined) {
        if (todo.every((rest) => rest === "" || rest === ".")) return { directory, missing: [], name: component };
        throw new LighterError("invalid", `${showPath(posix.join(directory.path, component))}: not a directory`);
      }
      if (++symlinkCount > SYMLINKS_MAX)
        throw new LighterError("invalid", `"${showPath(path)}" has too many levels of symbolic links`);
      if (target.startsWith("/")) this.#leave(1);
      todo.push(...target.split("/").reverse());
    }
    return { directory: this.#chain.at(-1)!, missing: [] };
  }

  /** The new layer's directory. */
  get rootFd(): number {
    return this.#chain[0]!.fd();
  }

  #leave(count: number): void {
    while (this.#chain.length > count) this.#chain.pop()!.close();
  }

  [Symbol.dispose](): void {
    this.#leave(0);
  }
}

function readlinkOf({ fds }: Found): BytePath {
  try {
    return readlinkFd(fds[0]!);
  } catch (error) {
    closeAll(fds);
    throw error;
  }
}
