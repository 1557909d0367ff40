/**
 * Unpacks a tar into a directory that a running container sees and may change at the same time (`docker cp`).
 *
 * Both the tar and the container are hostile. Every parent directory is opened by openat2(2) with RESOLVE_IN_ROOT under the
 * container's root, for each entry unless it is a file that follows another in the same directory. The last component is made
 * there (O_EXCL, mkdirat, …) and from then on used by its fd. So whatever is exchanged meanwhile, everything that is made,
 * changed or removed is inside that root. Existing files are never opened for writing, but replaced.
 */
import { closeSync, fstatSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { LAYER_MAX_ENTRIES, LAYER_PATH_MAX_DEPTH } from "../../base/limits.ts";
import { removeTreeAt } from "../../linux/remove-tree.ts";
import {
  type BytePath,
  chmodPathFd,
  EEXIST,
  ENOENT,
  fchownPathFd,
  futimens,
  kernelError,
  lchownat,
  lutimensat,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  PATH_MAX,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  showPath,
  tryLinkat,
  tryMkdirat,
  tryOpenat,
  tryOpenat2,
} from "../../linux/sys/fs.ts";
import { makingFilesAs } from "../../linux/sys/fs-ids.ts";
import type { FileRange } from "../../spec/file-range.ts";
import { entryForHost, type IdTranslations } from "./id-translation.ts";
import { createSpecial, EntryFile, setAttributes } from "./make-entry.ts";
import type { TarEntry, TarSink } from "./tar-reader.ts";

export interface ExtractOptions {
  /** True if a directory may not be replaced by something else, nor the other way round. */
  keepKinds: boolean;
  /** The owner of all files, whatever the tar says. */
  owner?: { uid: number; gid: number } | undefined;
  /** The ids of a container in a user namespace, which the tar and `owner` use. */
  ids?: IdTranslations | undefined;
  /** Called for each regular file when all its bytes have come. */
  onFile?: (fd: number, sizeBytes: number) => void;
}

const resolveInRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
const IMPLIED_DIRECTORY_MODE = 0o755;
/** How often something in the way is removed: somebody may keep making new files. */
const ATTEMPTS = 8;

export class LiveExtractor implements TarSink {
  readonly #rootFd: number;
  readonly #targetPath: BytePath;
  readonly #options: ExtractOptions;
  /** Directories whose times are set when nothing more is made in them. */
  readonly #directories = new Map<BytePath, TarEntry>();
  #entryCount = 0;
  readonly #file = new EntryFile();
  /** The parent of the last file that was made where nothing was. */
  #parent: { path: string; fd: number } | undefined;

  /** `rootFd` is the container's "/", O_PATH, and stays the caller's. `targetPath` is absolute, in the container. */
  constructor(rootFd: number, targetPath: BytePath, options: ExtractOptions) {
    this.#rootFd = rootFd;
    this.#targetPath = targetPath;
    this.#options = options;
  }

  entry(given: TarEntry): void {
    if (++this.#entryCount > LAYER_MAX_ENTRIES)
      throw new LighterError("invalid", `the archive has more than ${LAYER_MAX_ENTRIES} entries`);
    const { owner, ids } = this.#options;
    const owned = { ...given, ...owner };
    const entry = ids === undefined ? owned : entryForHost(owned, ids);
    const path = this.#pathOf(entry.path);
    if (path === this.#targetPath) return; // the target directory itself stays as it is
    this.#make(this.#parentOf(path, entry), posix.basename(path), path, entry);
  }

  /** The open parent of an entry, which stays open at least until the next entry. */
  #parentOf(path: BytePath, { type }: TarEntry): number {
    const parentPath = posix.dirname(path);
    if (type === "file" && this.#parent?.path === parentPath) return this.#parent.fd;
    this.#forgetParent();
    const fd = this.#openParent(path);
    this.#parent = { path: type === "file" ? parentPath : "", fd };
    return fd;
  }

  #forgetParent(): void {
    if (this.#parent !== undefined) closeSync(this.#parent.fd);
    this.#parent = undefined;
  }

  data(bytes: Uint8Array, offset: number): void {
    this.#file.write(bytes, offset);
  }

  dataIn(range: FileRange, offset: number): void {
    this.#file.writeRange(range, offset);
  }

  endEntry(): void {
    const { isOpen, fd, sizeBytes } = this.#file;
    if (isOpen) this.#options.onFile?.(fd, sizeBytes);
    this.#file.finish();
  }

  /** Sets the times of directories. Call once, after the reader's end. */
  finish(): void {
    for (const [path, entry] of this.#directories) {
      // This is whatever is there now: at worst another directory of the container gets the time.
      const fd = tryOpenat2(this.#rootFd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolveInRoot);
      if (fd < 0) continue; // a later entry, or the container, has replaced it
      try {
        futimens(fd, entry.mtimeSeconds, entry.mtimeNanoseconds, path);
      } finally {
        closeSync(fd);
      }
    }
  }

  close(): void {
    this.#file.close();
    this.#forgetParent();
  }

  /** The path of an entry. @throws LighterError with Docker's text for one that leaves the target */
  #pathOf(name: BytePath): BytePath {
    if (name.length >= PATH_MAX)
      throw new LighterError("invalid", `"${showPath(name.slice(0, 80))}…" is longer than ${PATH_MAX - 1} bytes`);
    const prefix = this.#targetPath === "/" ? "/" : `${this.#targetPath}/`;
    const path = posix.join(this.#targetPath, name).replace(/(.)\/$/, "$1");
    if (path !== this.#targetPath && !path.startsWith(prefix))
      throw new LighterError(
        "internal", // Docker answers with status 500
        `"${showPath(name)}" is outside of "${showPath(this.#targetPath)}"`,
      );
    if (path.split("/").length > LAYER_PATH_MAX_DEPTH)
      throw new LighterError("invalid", `"${showPath(name)}" is deeper than ${LAYER_PATH_MAX_DEPTH} directories`);
    return path as BytePath;
  }

  /** Opens a parent with O_PATH, making missing directories; the caller closes it. */
  #openParent(path: BytePath): number {
    const parent = posix.dirname(path) as BytePath;
    const fd = tryOpenat2(this.#rootFd, parent, O_PATH | O_DIRECTORY, resolveInRoot);
    if (fd >= 0) return fd;
    if (fd !== ENOENT || parent === "/") throw kernelError(fd, `open "${showPath(parent)}"`);
    const above = this.#openParent(parent);
    try {
      const name = posix.basename(parent);
      const made = this.#making(() => tryMkdirat(above, name, IMPLIED_DIRECTORY_MODE));
      if (made < 0 && made !== EEXIST) throw kernelError(made, `mkdir "${showPath(parent)}"`);
      const child = tryOpenat(above, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      if (child < 0) throw kernelError(child, `open "${showPath(parent)}"`);
      const { owner, ids } = this.#options;
      if (made === 0 && (owner !== undefined || ids !== undefined)) {
        const { uid, gid } = owner ?? { uid: 0, gid: 0 };
        fchownPathFd(child, ids?.toHost.uid(uid) ?? uid, ids?.toHost.gid(gid) ?? gid, parent);
      }
      return child;
    } finally {
      closeSync(above);
    }
  }

  /** Makes a file. If the file system has no id for the host's root, the file first belongs to the container's root. */
  #making(create: () => number): number {
    const { ids } = this.#options;
    return ids === undefined ? create() : makingFilesAs(ids.toHost.uid(0), ids.toHost.gid(0), create);
  }

  #make(parentFd: number, name: string, path: BytePath, entry: TarEntry): void {
    if (entry.type === "directory") this.#directory(parentFd, name, path, entry);
    else this.#leaf(parentFd, name, path, entry);
  }

  /** The kind of what is in an entry's way. @throws LighterError with Docker's text if that must stay */
  #kindInTheWay(
    parentFd: number,
    name: string,
    path: BytePath,
    isDirectory: boolean,
  ): "directory" | "other" | undefined {
    const existing = kindAt(parentFd, name);
    if (this.#options.keepKinds && existing !== undefined && (existing === "directory") !== isDirectory)
      throw cannotOverwrite(path, this.#targetPath, existing === "directory");
    return existing;
  }

  #leaf(parentFd: number, name: string, path: BytePath, entry: TarEntry): void {
    const create = () => this.#making(() => this.#create(parentFd, name, entry));
    const rc = create();
    if (rc === EEXIST) {
      this.#kindInTheWay(parentFd, name, path, false);
      this.#replace(parentFd, name, path, create);
    } else if (rc < 0) throw kernelError(rc, `create "${showPath(path)}"`);
    if (entry.type === "file" || entry.type === "hardlink") return;
    lchownat(parentFd, name, entry.uid, entry.gid);
    this.#attributesOfSpecial(parentFd, name, path, entry);
  }

  /** Removes what is in the way until `create` succeeds. */
  #replace(parentFd: number, name: string, path: BytePath, create: () => number): void {
    let rc = create();
    for (let attempt = 0; rc === EEXIST && attempt < ATTEMPTS; attempt++) {
      // We are not in the container's mount namespace: the kernel would let us remove the mount point, and with it the mount.
      if (isMountPoint(parentFd, name))
        throw new LighterError("kernel", `unlinkat ${showPath(path)}: device or resource busy`, { errno: "EBUSY" });
      removeTreeAt(parentFd, name);
      rc = create();
    }
    if (rc < 0) throw kernelError(rc, `create "${showPath(path)}"`);
  }

  #directory(parentFd: number, name: string, path: BytePath, entry: TarEntry): void {
    if (this.#kindInTheWay(parentFd, name, path, true) !== "directory")
      this.#replace(parentFd, name, path, () => this.#making(() => tryMkdirat(parentFd, name, 0o700)));
    const fd = tryOpenat(parentFd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0) throw kernelError(fd, `open "${showPath(path)}"`);
    try {
      setAttributes(fd, entry, path);
    } finally {
      closeSync(fd);
    }
    this.#directories.set(path, entry);
  }

  #create(parentFd: number, name: string, entry: TarEntry): number {
    if (entry.type === "file") return this.#file.create(parentFd, name, entry);
    return entry.type === "hardlink" ? this.#link(parentFd, name, entry) : createSpecial(parentFd, name, entry);
  }

  /** Makes a hard link, even to a file that is in the archive. */
  #link(parentFd: number, name: string, entry: TarEntry): number {
    const target = this.#pathOf(entry.linkPath);
    const targetFd = this.#openParent(target);
    try {
      return tryLinkat(targetFd, posix.basename(target), parentFd, name);
    } finally {
      closeSync(targetFd);
    }
  }

  /** Sets attributes by the file's own fd, which cannot be exchanged; a symlink has only its times. */
  #attributesOfSpecial(parentFd: number, name: string, path: BytePath, entry: TarEntry): void {
    if (entry.type !== "symlink") {
      const fd = tryOpenat(parentFd, name, O_PATH | O_NOFOLLOW);
      if (fd < 0) throw kernelError(fd, `open "${showPath(path)}"`);
      try {
        if (!fstatSync(fd).isSymbolicLink()) chmodPathFd(fd, entry.mode, path);
      } finally {
        closeSync(fd);
      }
    }
    lutimensat(parentFd, name, entry.mtimeSeconds, entry.mtimeNanoseconds);
  }
}

function isMountPoint(parentFd: number, name: string): boolean {
  const fd = tryOpenat(parentFd, name, O_PATH | O_NOFOLLOW);
  if (fd < 0) return false; // it has gone
  try {
    return mountIdOf(fd) !== mountIdOf(parentFd);
  } finally {
    closeSync(fd);
  }
}

/** The number of the mount that an fd is on. Source: proc_pid_fdinfo(5). */
function mountIdOf(fd: number): string | undefined {
  return /^mnt_id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
}

function kindAt(parentFd: number, name: string): "directory" | "other" | undefined {
  const fd = tryOpenat(parentFd, name, O_PATH | O_NOFOLLOW | O_NONBLOCK);
  if (fd === ENOENT) return undefined;
  if (fd < 0) throw kernelError(fd, `open "${showPath(name)}"`);
  try {
    return fstatSync(fd).isDirectory() ? "directory" : "other";
  } finally {
    closeSync(fd);
  }
}

/** The error in Docker's words, which name the target where one would expect the entry. */
function cannotOverwrite(path: BytePath, target: BytePath, isDirectory: boolean): LighterError {
  const [old, fresh] = isDirectory ? ["directory", "non-directory"] : ["non-directory", "directory"];
  return new LighterError(
    "internal",
    `cannot overwrite ${old} "${showPath(path)}" with ${fresh} "${showPath(target)}"`,
  );
}
