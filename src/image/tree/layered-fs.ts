/**
 * Looks paths up in a stack of overlay lower directories as the mounted overlay would, without mounting it. Images are
 * hostile: nothing here follows a symlink on the host. Each component is opened by itself with O_NOFOLLOW, and symlinks
 * are interpreted within the stack.
 * Source: Linux Documentation/filesystems/overlayfs.rst (merged, opaque and white-out entries).
 */

import { closeSync, fstatSync, openSync, readdirSync, readSync, type Stats } from "node:fs";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { SYMLINKS_MAX } from "../../base/limits.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import {
  type BytePath,
  bytePath,
  ENOENT,
  ENOTDIR,
  getxattrFd,
  kernelError,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  openat,
  readlinkFd,
  showPath,
  tryOpenat,
} from "../../linux/sys/fs.ts";
import { opaqueXattr } from "../tar/unpack.ts";

/** A directory of the merged view: O_PATH fds of the layers that take part, topmost first. */
type MergedDirectory = readonly number[];

export interface Found {
  /** O_PATH fds: those of all layers for a directory, else one. */
  fds: number[];
  stat: Stats;
}

export function closeAll(fds: Iterable<number>): void {
  for (const fd of fds) closeSync(fd);
}

export function isOpaque(fd: number): boolean {
  return getxattrFd(fd, opaqueXattr())?.toString("latin1") === "y";
}

export function isWhiteout(stat: Stats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0;
}

/** Looks up an entry of a merged directory; the caller closes its fds. */
export function lookup(directory: MergedDirectory, name: string): Found | undefined {
  const fds: number[] = [];
  let top: Stats | undefined;
  try {
    for (const layerFd of directory) {
      const fd = tryOpenat(layerFd, name, O_PATH | O_NOFOLLOW);
      if (fd === ENOENT || fd === ENOTDIR) continue;
      if (fd < 0) throw kernelError(fd, `open "${showPath(name)}"`);
      const stat = fstatSync(fd);
      const ends = isWhiteout(stat) || (top !== undefined && !stat.isDirectory());
      if (ends) {
        closeSync(fd);
        break;
      }
      fds.push(fd);
      top ??= stat;
      if (!stat.isDirectory() || isOpaque(fd)) break;
    }
  } catch (error) {
    closeAll(fds);
    throw error;
  }
  return top === undefined ? undefined : { fds, stat: top };
}

/** Opens "/" of the merged view; the caller closes the fds. */
export function openRoots(layerPaths: readonly string[]): number[] {
  const fds: number[] = [];
  try {
    for (const path of layerPaths) {
      const fd = openat(AT_FDCWD, bytePath(path), O_PATH | O_DIRECTORY);
      fds.push(fd);
      if (isOpaque(fd)) break;
    }
    return fds;
  } catch (error) {
    closeAll(fds);
    throw error;
  }
}

/** Opens the roots of several stacks; none stays open if one fails. */
export function openAllRoots(...stacks: (readonly string[])[]): number[][] {
  const opened: number[][] = [];
  try {
    for (const layerPaths of stacks) opened.push(openRoots(layerPaths));
    return opened;
  } catch (error) {
    for (const fds of opened) closeAll(fds);
    throw error;
  }
}

/**
 * Finds what `path` is, following symlinks (the last one too unless `followLast` is false); the caller closes the fds.
 * @throws LighterError ("invalid") after SYMLINKS_MAX symlinks.
 */
export function resolve(layerPaths: readonly string[], path: BytePath, followLast: boolean): Found | undefined {
  /** The directories from "/" down to the current one. */
  const stack: number[][] = [openRoots(layerPaths)];
  const todo = path.split("/").reverse();
  let symlinkCount = 0;
  try {
    while (todo.length > 0) {
      const component = todo.pop()!;
      if (component === "" || component === ".") continue;
      if (component === "..") {
        if (stack.length > 1) closeAll(stack.pop()!);
        continue;
      }
      const found = lookup(stack.at(-1)!, component);
      if (found === undefined) return undefined;
      const isLast = todo.every((rest) => rest === "" || rest === ".");
      if (found.stat.isSymbolicLink() && (!isLast || followLast)) {
        let target: BytePath;
        try {
          target = readlinkFd(found.fds[0]!);
        } finally {
          closeAll(found.fds);
        }
        if (++symlinkCount > SYMLINKS_MAX)
          throw new LighterError("invalid", `"${showPath(path)}" has too many levels of symbolic links`);
        if (target.startsWith("/")) for (const fds of stack.splice(1)) closeAll(fds);
        todo.push(...target.split("/").reverse());
      } else if (found.stat.isDirectory()) {
        stack.push(found.fds);
      } else if (isLast) {
        return found;
      } else {
        closeAll(found.fds);
        return undefined;
      }
    }
    const fds = stack.pop()!;
    return { fds, stat: fstatSync(fds[0]!) };
  } finally {
    for (const fds of stack) closeAll(fds);
  }
}

/**
 * The path without symlinks that a file made at `path` would have: links in it are followed as far as it exists, and what does not
 * exist is as written.
 */
export function resolveInLayers(layerPaths: readonly string[], path: string): string {
  const todo = path.split("/").reverse();
  const done: string[] = [];
  let symlinkCount = 0;
  while (todo.length > 0) {
    const component = todo.pop()!;
    if (component === "..") done.pop();
    if (["", ".", ".."].includes(component)) continue;
    const found = resolve(layerPaths, bytePath(`/${[...done, component].join("/")}`), false);
    const target = found?.stat.isSymbolicLink() ? readlinkFd(found.fds[0]!) : undefined;
    closeAll(found?.fds ?? []);
    if (target === undefined || ++symlinkCount > SYMLINKS_MAX) {
      done.push(component);
      continue;
    }
    if (target.startsWith("/")) done.length = 0;
    todo.push(...Buffer.from(target, "latin1").toString("utf8").split("/").reverse());
  }
  return `/${done.join("/")}`;
}

/** The attributes of `path` in the merged view, without following a symlink; undefined if it does not exist. */
export function statInLayers(layerPaths: readonly string[], path: BytePath): Stats | undefined {
  const found = resolve(layerPaths, path, false);
  if (found === undefined) return undefined;
  closeAll(found.fds);
  return found.stat;
}

/** Where the symlink at `path` leads. */
export function readlinkInLayers(layerPaths: readonly string[], path: BytePath): BytePath {
  const found = resolve(layerPaths, path, false);
  try {
    return readlinkFd(found?.fds[0] ?? -1);
  } finally {
    closeAll(found?.fds ?? []);
  }
}

/** The names in a directory of the merged view, in no order. Undefined if there is none. Symlinks are followed. */
export function listInLayers(layerPaths: readonly string[], path: BytePath): BytePath[] | undefined {
  const found = resolve(layerPaths, path, true);
  if (found === undefined) return undefined;
  try {
    if (!found.stat.isDirectory()) return undefined;
    return [...namesIn(found.fds)].filter((name) => {
      const entry = lookup(found.fds, name);
      closeAll(entry?.fds ?? []);
      return entry !== undefined;
    }) as BytePath[];
  } finally {
    closeAll(found.fds);
  }
}

/** Whether `path` is a directory of the merged view. Symlinks are followed. */
export function isDirectoryInLayers(layerPaths: readonly string[], path: string): boolean {
  const found = resolve(layerPaths, bytePath(path), true);
  if (found === undefined) return false;
  try {
    return found.stat.isDirectory();
  } finally {
    closeAll(found.fds);
  }
}

/**
 * Reads a regular file in the merged view of `layerPaths` (directories on the host, topmost first: an upper directory, if there
 * is one, then the lower ones). Undefined if it does not exist or is no regular file.
 * @throws LighterError ("invalid") if it is longer than `maxBytes` or there are too many symlinks.
 */
export function readFileInLayers(
  layerPaths: readonly string[],
  path: string,
  maxBytes: number,
  tooLong = (byteCount: number) =>
    new LighterError("invalid", `"${path}" in the image has ${byteCount} bytes, above the limit of ${maxBytes}`),
): Buffer | undefined {
  const found = resolve(layerPaths, bytePath(path), true);
  if (found === undefined) return undefined;
  try {
    if (!found.stat.isFile()) return undefined;
    if (found.stat.size > maxBytes) throw tooLong(found.stat.size);
    // O_NONBLOCK: should it be anything but a regular file after all, opening it must not wait.
    const fd = openSync(`/proc/self/fd/${found.fds[0]!}`, O_RDONLY | O_NONBLOCK);
    try {
      return readUpTo(fd, found.stat.size);
    } finally {
      closeSync(fd);
    }
  } finally {
    closeAll(found.fds);
  }
}

/** Tells one file from another, whatever their names. */
export function identityOf(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}

/** The names in a merged directory, one char per byte, each once and in no order; whited-out ones are included. */
export function namesIn(directory: MergedDirectory): Set<string> {
  const names = new Set<string>();
  for (const fd of directory) for (const name of readNames(fd)) names.add(name);
  return names;
}

function readNames(fd: number): string[] {
  try {
    return readdirSync(`/proc/self/fd/${fd}`, { encoding: "latin1" });
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return []; // getdents(2) of a directory that was removed meanwhile
    throw error;
  }
}

function readUpTo(fd: number, byteCount: number): Buffer {
  const bytes = Buffer.alloc(byteCount);
  let length = 0;
  while (length < byteCount) {
    const count = readSync(fd, bytes, length, byteCount - length, length);
    if (count === 0) break;
    length += count;
  }
  return bytes.subarray(0, length);
}
