/**
 * Copies a directory of an image to the host: an empty volume gets the content of what it is mounted over. Both sides are used
 * through fds, entry by entry, and no symlink is followed on either.
 */

import { closeSync, openSync, readSync, type Stats, writeSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { LAYER_PATH_MAX_DEPTH } from "../../base/limits.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import {
  bytePath,
  chmodat,
  fchmod,
  fchown,
  fsetxattr,
  futimens,
  getxattrFd,
  kernelError,
  lchownat,
  lutimensat,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  openat,
  readlinkFd,
  showPath,
  tryMkdirat,
  tryMknodat,
  trySymlinkat,
} from "../../linux/sys/fs.ts";
import { closeAll, type Found, lookup, namesIn, resolve } from "./layered-fs.ts";

/** A file's capabilities, which are part of what it is; other attributes are the layers' own business. */
const CAPABILITY_XATTR = "security.capability";
const CHUNK_BYTES = 1024 * 1024;

/**
 * Copies the content of `path` in the merged view of `layerPaths` (topmost first) into the directory `targetPath`, which must
 * exist and be empty, and gives it the mode, owner and times of `path`. Returns false, and does nothing, if `path` is no
 * directory. Hard links become files of their own; sockets are left out.
 * @throws LighterError ("invalid") for directories nested too deep; ("kernel") with the errno, such as ENOSPC.
 */
export function copyDirectoryFromLayers(
  layerPaths: readonly string[],
  path: string,
  targetPath: string,
  beat: () => void = () => {},
): boolean {
  const found = resolve(layerPaths, bytePath(path), true);
  if (found === undefined) return false;
  try {
    if (!found.stat.isDirectory()) return false;
    const targetFd = openat(AT_FDCWD, bytePath(targetPath), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      new Copy(beat).directory(found, targetFd, LAYER_PATH_MAX_DEPTH);
    } finally {
      closeSync(targetFd);
    }
    return true;
  } finally {
    closeAll(found.fds);
  }
}

class Copy {
  readonly #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  readonly #beat: () => void;

  constructor(beat: () => void) {
    this.#beat = beat;
  }

  /** Copies the entries first: they would change the directory's own times. */
  directory(source: Found, targetFd: number, depth: number): void {
    if (depth === 0) throw new LighterError("invalid", "copy a directory of an image: it is nested too deep");
    for (const name of namesIn(source.fds)) {
      const entry = lookup(source.fds, name);
      if (entry === undefined) continue; // it is whited out
      try {
        this.#entry(entry, targetFd, name, depth);
      } finally {
        closeAll(entry.fds);
      }
    }
    const { uid, gid, mode } = source.stat;
    fchown(targetFd, uid, gid, "a volume's directory");
    fchmod(targetFd, mode & 0o7777, "a volume's directory"); // must follow chown, which drops set-id bits
    futimens(targetFd, ...timesOf(source.stat), "a volume's directory");
  }

  #entry(entry: Found, targetFd: number, name: string, depth: number): void {
    this.#beat();
    const { stat } = entry;
    if (stat.isDirectory()) {
      check(tryMkdirat(targetFd, name, 0o700), name);
      const childFd = openat(targetFd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      try {
        this.directory(entry, childFd, depth - 1);
      } finally {
        closeSync(childFd);
      }
    } else if (stat.isFile()) this.#file(entry, targetFd, name);
    else if (stat.isSymbolicLink()) {
      check(trySymlinkat(readlinkFd(entry.fds[0]!), targetFd, name), name);
      lchownat(targetFd, name, stat.uid, stat.gid);
      lutimensat(targetFd, name, ...timesOf(stat));
    } else if (!stat.isSocket()) {
      check(tryMknodat(targetFd, name, stat.mode, BigInt(stat.rdev)), name);
      lchownat(targetFd, name, stat.uid, stat.gid);
      chmodat(targetFd, name, stat.mode & 0o7777);
      lutimensat(targetFd, name, ...timesOf(stat));
    }
  }

  #file({ fds, stat }: Found, targetFd: number, name: string): void {
    // O_NONBLOCK: should it be anything but a regular file after all, opening it must not wait.
    const sourceFd = openSync(`/proc/self/fd/${fds[0]!}`, O_RDONLY | O_NONBLOCK);
    try {
      const fd = openat(targetFd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      try {
        this.#content(sourceFd, fd);
        fchown(fd, stat.uid, stat.gid, name);
        const capability = getxattrFd(sourceFd, CAPABILITY_XATTR);
        if (capability !== undefined) fsetxattr(fd, CAPABILITY_XATTR, capability, name); // chown would drop it
        fchmod(fd, stat.mode & 0o7777, name);
        futimens(fd, ...timesOf(stat), name);
      } finally {
        closeSync(fd);
      }
    } finally {
      closeSync(sourceFd);
    }
  }

  #content(sourceFd: number, targetFd: number): void {
    for (;;) {
      const length = readSync(sourceFd, this.#chunk, 0, CHUNK_BYTES, null);
      if (length === 0) return;
      for (let written = 0; written < length; ) written += writeSync(targetFd, this.#chunk, written, length - written);
      this.#beat();
    }
  }
}

function timesOf(stat: Stats): [seconds: number, nanoseconds: number] {
  const seconds = Math.floor(stat.mtimeMs / 1000);
  return [seconds, Math.floor((stat.mtimeMs - seconds * 1000) * 1e6)];
}

function check(rc: number, name: string): void {
  if (rc < 0) throw kernelError(rc, `copy "${showPath(name)}"`);
}
