/**
 * Unpacks one layer's tar into its own directory, in the form overlayfs reads as a lower directory:
 *
 *   ".wh.NAME"       →  NAME, a character device 0:0            (the name is gone from the layers below)
 *   ".wh..wh..opq"   →  xattr trusted.overlay.opaque=y          (the directory hides the one below)
 * In a user namespace the attribute is user.overlay.opaque, and devices are left out, as with Docker: see `Rights`.
 *
 * The tar is hostile. Every parent directory is opened by openat2(2) with RESOLVE_IN_ROOT on the layer's directory and
 * then used by its fd; the last component is always created anew (O_EXCL, mkdirat, …) and never followed. So a symlink
 * planted in the layer can lead elsewhere inside the layer, as it would for a process chrooted there, never out of it.
 *
 * Sources: image-spec layer.md; Linux Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
 */
import { closeSync, fstatSync, readdirSync, readlinkSync, type Stats } from "node:fs";
import { errnoOf, LighterError } from "../../base/errors.ts";
import {
  LAYER_DIRECTORIES_MAX_BYTES,
  LAYER_MAX_ENTRIES,
  LAYER_MAX_IMPLIED_DIRECTORIES,
  LAYER_MAX_IMPLIED_PATH_BYTES,
  LAYER_PATH_MAX_DEPTH,
} from "../../base/limits.ts";
import { removeTreeAt } from "../../linux/remove-tree.ts";
import { ownRights } from "../../linux/rights.ts";
import {
  type BytePath,
  chmodat,
  EEXIST,
  ELOOP,
  ENOENT,
  ENOTDIR,
  EPERM,
  fsetxattr,
  kernelError,
  lchownat,
  lsetxattrat,
  lutimensat,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  openat,
  PATH_MAX,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFCHR,
  showPath,
  tryLinkat,
  tryMkdirat,
  tryMknodat,
  tryOpenat,
  tryOpenat2,
} from "../../linux/sys/fs.ts";
import { type Attributes, createSpecial, EntryFile, setAttributes, setXattr } from "./make-entry.ts";
import type { TarEntry, TarSink } from "./tar-reader.ts";

export interface LayerTotals {
  /** The bytes of written files and symlinks' targets: holes and further hard links do not count. */
  sizeBytes: number;
  entryCount: number;
  /** What the layer says of "/" itself; undefined if it does not mention it. */
  root: { mode: number; uid: number; gid: number } | undefined;
  /** Directories that the layer needs and does not mention: they have the lower layer's mode and owner. Parents come first. */
  impliedDirectories: BytePath[];
}

export const WHITEOUT_PREFIX = ".wh.";
const WHITEOUT_META_PREFIX = ".wh..wh.";
export const OPAQUE_MARKER = ".wh..wh..opq";
/** The attribute of a directory that hides the one below. Source: overlayfs.rst, "User xattr". */
export const opaqueXattr = () => `${ownRights().overlayAttributes}.overlay.opaque`;
const OPAQUE_VALUE = Uint8Array.of(0x79); // "y"

/** How many directories are kept open: entries come grouped by directory. */
const DIRECTORY_CACHE_SIZE = 64;

const resolveInLayer = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

function refused(path: string, why: string): LighterError {
  return new LighterError("invalid", `entry "${showPath(path)}" ${why}`);
}

/**
 * The components of an archive path: "." and empty ones are dropped, ".." is applied to the text as Docker does. A leading "/"
 * means the layer's root.
 * @throws LighterError ("invalid") if ".." leaves the root, or a limit is exceeded.
 */
export function splitArchivePath(path: string): string[] {
  if (path.length >= PATH_MAX) throw refused(`${path.slice(0, 80)}…`, `has a path longer than ${PATH_MAX - 1} bytes`);
  const components: string[] = [];
  for (const component of path.split("/")) {
    if (component === "" || component === ".") continue;
    if (component !== "..") components.push(component);
    else if (components.pop() === undefined) throw refused(path, "leaves the root");
  }
  if (components.length > LAYER_PATH_MAX_DEPTH)
    throw refused(path, `is deeper than ${LAYER_PATH_MAX_DEPTH} directories`);
  return components;
}

/** A directory's attributes, which are set when nothing more is created in it. */
interface PendingDirectory {
  entry: TarEntry | undefined;
  opaque: boolean;
}

function attributesOf(stat: Stats): Attributes {
  const seconds = Math.floor(stat.mtimeMs / 1000);
  return {
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    xattrs: [],
    mtimeSeconds: seconds,
    mtimeNanoseconds: Math.floor((stat.mtimeMs - seconds * 1000) * 1e6),
  };
}

function finishDirectory(rootFd: number, path: string, entry: Attributes | undefined, opaque: boolean): void {
  if (entry === undefined && !opaque) return;
  const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  const fd = tryOpenat2(rootFd, path === "" ? "." : path, flags, resolveInLayer);
  if (fd === ENOENT || fd === ENOTDIR || fd === ELOOP) return; // a later entry has replaced it
  if (fd < 0) throw kernelError(fd, `open "${showPath(path)}"`);
  try {
    if (opaque) fsetxattr(fd, opaqueXattr(), OPAQUE_VALUE, path);
    if (entry === undefined) return;
    setAttributes(fd, entry, path);
  } finally {
    closeSync(fd);
  }
}

/**
 * Gives the directories that a layer implies the attributes that `statBelow` finds in the layers below it. Directories that are
 * not there keep theirs.
 */
export function inheritAttributes(
  rootFd: number,
  impliedDirectories: readonly BytePath[],
  statBelow: (path: BytePath) => Stats | undefined,
): void {
  for (const path of impliedDirectories) {
    const below = statBelow(path);
    if (below?.isDirectory()) finishDirectory(rootFd, path, attributesOf(below), false);
  }
}

/** The sink of one layer's TarReader. It has no open fds after `finish` or `close`; the layer's directory stays the caller's. */
export class LayerUnpacker implements TarSink {
  readonly #rootFd: number;
  /** O_PATH fds by path within the layer, oldest first. */
  readonly #directories = new Map<string, number>();
  readonly #pending = new Map<string, PendingDirectory>();
  /** The approximate size of `#pending`. */
  #pendingBytes = 0;
  #hasSymlinks = false;
  #entryCount = 0;
  #sizeBytes = 0;
  #root: LayerTotals["root"];
  readonly #file = new EntryFile();

  /** `rootFd` is the layer's directory, which is empty and which nobody else sees. */
  constructor(rootFd: number) {
    this.#rootFd = rootFd;
  }

  entry(entry: TarEntry): void {
    if (++this.#entryCount > LAYER_MAX_ENTRIES)
      throw new LighterError("invalid", `layer has more than ${LAYER_MAX_ENTRIES} entries`);
    const components = splitArchivePath(entry.path);
    const name = components.pop();
    if (name === undefined) {
      if (entry.type !== "directory") throw refused(entry.path, "replaces the root");
      this.#root = { mode: entry.mode, uid: entry.uid, gid: entry.gid };
      this.#setPending("", entry);
      return;
    }
    // AUFS's own book-keeping (".wh..wh.plnk/…") means nothing here.
    if (components.some(isMeta) || (isMeta(name) && name !== OPAQUE_MARKER)) return;
    const parent = components.join("/");
    const isWhiteout = name.startsWith(WHITEOUT_PREFIX);
    const parentFd = this.#openDirectory(parent);
    if (parentFd < 0) {
      // Some builders list what a replaced directory held ("d/.wh.x" beside a file "d"): nothing is left to hide.
      if (isWhiteout) return;
      throw refused(entry.path, "has a parent that is no directory");
    }
    const path = parent === "" ? name : `${parent}/${name}`;
    if (isWhiteout) this.#whiteout(parentFd, parent, name, entry);
    else if (entry.type === "file") this.#createFile(parentFd, name, entry);
    else if (entry.type === "directory") this.#createDirectory(parentFd, name, path, entry);
    else if (entry.type === "hardlink") this.#createHardLink(parentFd, name, path, entry);
    else this.#createOther(parentFd, name, entry);
  }

  data(bytes: Uint8Array, offset: number): void {
    if (!this.#file.isOpen) return; // a whiteout with data, which means nothing
    this.#file.write(bytes, offset);
    this.#sizeBytes += bytes.length;
  }

  endEntry(): void {
    this.#file.finish(({ uid, gid }) => uid === 0 && gid === 0);
  }

  /**
   * Sets the directories' attributes, which had to wait for their content. Call once, after the reader's end. Directories that
   * the layer implies are 0755 and root's until `inheritAttributes`.
   */
  finish(): LayerTotals {
    const impliedDirectories: BytePath[] = [];
    let impliedBytes = 0;
    for (const [key, { entry, opaque }] of this.#pending) {
      const path = key as BytePath;
      if (entry === undefined && path !== "") {
        impliedDirectories.push(path);
        impliedBytes += path.length;
      }
      finishDirectory(this.#rootFd, path, entry, opaque);
    }
    this.close();
    if (impliedDirectories.length > LAYER_MAX_IMPLIED_DIRECTORIES || impliedBytes > LAYER_MAX_IMPLIED_PATH_BYTES)
      throw new LighterError(
        "invalid",
        `layer has no entries for ${impliedDirectories.length} of its directories, above the limit of ` +
          `${LAYER_MAX_IMPLIED_DIRECTORIES} with ${LAYER_MAX_IMPLIED_PATH_BYTES} bytes of paths`,
      );
    return {
      sizeBytes: this.#sizeBytes,
      entryCount: this.#entryCount,
      root: this.#root,
      impliedDirectories,
    };
  }

  close(): void {
    for (const fd of this.#directories.values()) closeSync(fd);
    this.#directories.clear();
    this.#file.close();
  }

  #markDirectory(path: string): PendingDirectory {
    let pending = this.#pending.get(path);
    if (pending === undefined) {
      pending = { entry: undefined, opaque: false };
      this.#pending.set(path, pending);
      this.#countPending(path.length);
    }
    return pending;
  }

  #setPending(path: string, entry: TarEntry): void {
    const pending = this.#markDirectory(path);
    if (pending.entry !== undefined) this.#countPending(-bytesOf(pending.entry));
    pending.entry = entry;
    this.#countPending(bytesOf(entry));
  }

  #countPending(byteCount: number): void {
    this.#pendingBytes += byteCount;
    if (this.#pendingBytes > LAYER_DIRECTORIES_MAX_BYTES)
      throw new LighterError(
        "invalid",
        `layer has more than ${LAYER_DIRECTORIES_MAX_BYTES} bytes of paths and xattrs of directories`,
      );
  }

  /**
   * Opens a directory with O_PATH; the cache owns the fd. Missing directories are made, 0755 and root's. Returns a negative
   * number if something else is in the way.
   */
  #openDirectory(path: string): number {
    if (path === "") return this.#rootFd;
    const cached = this.#directories.get(path);
    if (cached !== undefined) return cached;
    let fd = tryOpenat2(this.#rootFd, path, O_PATH | O_DIRECTORY, resolveInLayer);
    if (fd === ENOENT || fd === ENOTDIR) {
      if (!this.#makeDirectory(path)) return ENOTDIR;
      fd = tryOpenat2(this.#rootFd, path, O_PATH | O_DIRECTORY, resolveInLayer);
    }
    if (fd === ENOTDIR || fd === ELOOP || fd === ENOENT) return ENOTDIR;
    if (fd < 0) throw kernelError(fd, `open "${showPath(path)}"`);
    this.#cacheDirectory(path, fd);
    if (this.#hasSymlinks) this.#requireDepth(fd, path);
    return fd;
  }

  /** Checks the depth: symlinks, each to the end of another, lead deeper than any path of the archive is long. */
  #requireDepth(fd: number, path: string): void {
    const depth = depthOf(fd) - depthOf(this.#rootFd);
    if (depth > LAYER_PATH_MAX_DEPTH)
      throw refused(path, `leads through symlinks deeper than ${LAYER_PATH_MAX_DEPTH} directories`);
  }

  /** Makes a directory that no entry mentions, with its parents. Returns false if something else is in the way. */
  #makeDirectory(path: string): boolean {
    const slash = path.lastIndexOf("/");
    const parentFd = this.#openDirectory(slash < 0 ? "" : path.slice(0, slash));
    if (parentFd < 0) return false;
    const name = path.slice(slash + 1);
    let rc = tryMkdirat(parentFd, name, 0o755);
    if (rc === EEXIST) {
      if (this.#kindAt(parentFd, name) !== "whiteout") return false;
      this.#makeRoom(parentFd, name);
      this.#markDirectory(path).opaque = true;
      rc = tryMkdirat(parentFd, name, 0o755);
    }
    if (rc < 0) throw kernelError(rc, `create directory "${showPath(path)}"`);
    chmodat(parentFd, name, 0o755); // whatever our umask is
    this.#markDirectory(path);
    return true;
  }

  #cacheDirectory(path: string, fd: number): void {
    if (this.#directories.size >= DIRECTORY_CACHE_SIZE) {
      const [oldest, oldestFd] = this.#directories.entries().next().value!;
      this.#directories.delete(oldest);
      closeSync(oldestFd);
    }
    this.#directories.set(path, fd);
  }

  /** Removes what an earlier entry of this layer left at `name`, so that this one replaces it. */
  #makeRoom(parentFd: number, name: string): void {
    removeTreeAt(parentFd, name);
    // Cached directories may have been resolved through it. The parent itself stays in use.
    for (const [path, fd] of this.#directories) {
      if (fd === parentFd) continue;
      closeSync(fd);
      this.#directories.delete(path);
    }
  }

  /** Runs `create`; if something of this layer is in the way, removes that and runs it once more. Throws its errno. */
  #createInstead(parentFd: number, name: string, what: string, create: () => number): number {
    let rc = create();
    if (rc === EEXIST) {
      this.#makeRoom(parentFd, name);
      rc = create();
    }
    if (rc < 0) throw kernelError(rc, what);
    return rc;
  }

  #createFile(parentFd: number, name: string, entry: TarEntry): void {
    const create = () => this.#file.create(parentFd, name, entry);
    if (create() < 0) this.#createInstead(parentFd, name, `create "${showPath(entry.path)}"`, create);
  }

  #createDirectory(parentFd: number, name: string, path: string, entry: TarEntry): void {
    const rc = tryMkdirat(parentFd, name, 0o700);
    if (rc === EEXIST) {
      const existing = this.#kindAt(parentFd, name);
      if (existing !== "directory") {
        this.#createInstead(parentFd, name, `create directory "${showPath(path)}"`, () =>
          tryMkdirat(parentFd, name, 0o700),
        );
        // A whiteout of this layer hides the layers below, not what this layer itself brings (layer.md#whiteouts).
        if (existing === "whiteout") this.#markDirectory(path).opaque = true;
      }
    } else if (rc < 0) {
      throw kernelError(rc, `create directory "${showPath(path)}"`);
    }
    this.#setPending(path, entry);
  }

  #kindAt(parentFd: number, name: string): "directory" | "whiteout" | "other" | "none" {
    const fd = tryOpenat(parentFd, name, O_PATH | O_NOFOLLOW);
    if (fd === ENOENT) return "none";
    if (fd < 0) throw kernelError(fd, `open "${showPath(name)}"`);
    const stat = fstatSync(fd);
    closeSync(fd);
    if (stat.isDirectory()) return "directory";
    return stat.isCharacterDevice() && stat.rdev === 0 ? "whiteout" : "other";
  }

  #holdsOnlyWhiteouts(parentFd: number, name: string): boolean {
    const fd = openat(parentFd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      const children = readdirSync(`/proc/self/fd/${fd}`, { encoding: "latin1" });
      return children.every((child) => this.#kindAt(fd, child) === "whiteout");
    } finally {
      closeSync(fd);
    }
  }

  #createHardLink(parentFd: number, name: string, path: string, entry: TarEntry): void {
    const target = splitArchivePath(entry.linkPath);
    const targetName = target.pop();
    if (targetName === undefined) throw refused(entry.path, "is a hard link to the root");
    const targetPath = [...target, targetName].join("/");
    if (targetPath === path) throw refused(entry.path, "is a hard link to itself");
    const directory = target.length === 0 ? "." : target.join("/");
    const targetFd = tryOpenat2(this.#rootFd, directory, O_PATH | O_DIRECTORY, resolveInLayer);
    const missing = (): LighterError =>
      refused(entry.path, `is a hard link to "${showPath(targetPath)}", which is not in this layer`);
    if (targetFd < 0) throw missing();
    try {
      let rc = tryLinkat(targetFd, targetName, parentFd, name);
      if (rc === EEXIST && !isSameFile(targetFd, targetName, parentFd, name)) {
        this.#makeRoom(parentFd, name);
        rc = tryLinkat(targetFd, targetName, parentFd, name);
      }
      if (rc === ENOENT) throw missing();
      if (rc === EPERM) throw refused(entry.path, `is a hard link to "${showPath(targetPath)}", which is a directory`);
      if (rc < 0 && rc !== EEXIST) throw kernelError(rc, `link "${showPath(path)}"`);
    } finally {
      closeSync(targetFd);
    }
  }

  /** Makes symlinks, devices and fifos. */
  #createOther(parentFd: number, name: string, entry: TarEntry): void {
    if ((entry.type === "char" || entry.type === "block") && !ownRights().deviceNodes) return;
    const what = `create ${entry.type} "${showPath(entry.path)}"`;
    this.#createInstead(parentFd, name, what, () => createSpecial(parentFd, name, entry));
    if (entry.type === "symlink") {
      this.#hasSymlinks = true;
      this.#sizeBytes += entry.linkPath.length; // Docker counts so, too
    }
    if (entry.uid !== 0 || entry.gid !== 0) lchownat(parentFd, name, entry.uid, entry.gid);
    if (entry.type !== "symlink") chmodat(parentFd, name, entry.mode);
    for (const xattr of entry.xattrs) {
      setXattr(xattr.name, () => lsetxattrat(parentFd, name, xattr.name, xattr.value));
    }
    lutimensat(parentFd, name, entry.mtimeSeconds, entry.mtimeNanoseconds);
  }

  #whiteout(parentFd: number, parent: string, markerName: string, entry: TarEntry): void {
    if (markerName === OPAQUE_MARKER) {
      this.#markDirectory(parent).opaque = true;
      return;
    }
    const name = markerName.slice(WHITEOUT_PREFIX.length);
    if (name === "" || name === "." || name === "..") throw refused(entry.path, "is no valid whiteout");
    const existing = this.#kindAt(parentFd, name);
    if (existing === "directory") {
      // What this layer brings stays, and must hide what is below. A directory that holds only whiteouts brings nothing.
      const path = parent === "" ? name : `${parent}/${name}`;
      const bringsNothing = this.#pending.get(path)?.entry === undefined && this.#holdsOnlyWhiteouts(parentFd, name);
      if (!bringsNothing) {
        this.#markDirectory(path).opaque = true;
        return;
      }
      this.#makeRoom(parentFd, name);
      this.#pending.delete(path);
    } else if (existing !== "none") {
      return;
    }
    const rc = tryMknodat(parentFd, name, S_IFCHR, 0n);
    if (rc < 0) throw kernelError(rc, `create whiteout "${showPath(entry.path)}"`);
  }
}

/** The approximate memory that keeping an entry takes: its strings and objects. */
function bytesOf(entry: TarEntry): number {
  return entry.xattrs.reduce((sum, { name, value }) => sum + name.length + value.length + 200, entry.path.length + 200);
}

/** A directory's depth from the host's root; infinite if its path is longer than the kernel tells. */
function depthOf(fd: number): number {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`, "latin1").split("/").length;
  } catch (error) {
    if (errnoOf(error) === "ENAMETOOLONG") return Number.POSITIVE_INFINITY;
    throw error;
  }
}

function isMeta(component: string): boolean {
  return component.startsWith(WHITEOUT_META_PREFIX);
}

function isSameFile(fdA: number, nameA: string, fdB: number, nameB: string): boolean {
  const a = openat(fdA, nameA, O_PATH | O_NOFOLLOW);
  const b = openat(fdB, nameB, O_PATH | O_NOFOLLOW);
  const [statA, statB] = [fstatSync(a, { bigint: true }), fstatSync(b, { bigint: true })];
  closeSync(a);
  closeSync(b);
  return statA.ino === statB.ino && statA.dev === statB.dev;
}
