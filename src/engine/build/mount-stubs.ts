/**
 * Removes the places that a step's mounts needed from what the step has made: files and directories that were not there, and are
 * empty. Directories above them that exist below as they are, and have nothing of their own, are removed, too.
 */
import { closeSync, fstatSync, type Stats } from "node:fs";
import { posix } from "node:path";
import { isOpaqueDirectory, resolveInLayers, statInLayers } from "../../image/mod.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import {
  bytePath,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  openat,
  tryOpenat,
  tryRmdirat,
  tryUnlinkat,
} from "../../linux/sys/fs.ts";

/** Finds where mounts on `targets` are going to be, below a root file system's layers, topmost first. */
export function findStubs(layers: readonly string[], targets: readonly string[]): string[] {
  return targets.map((target) => resolveInLayers(layers, target));
}

/** Removes the stubs, in the upper directory of a step that has ended. */
export function removeStubs(upper: string, layers: readonly string[], stubs: readonly string[]): void {
  for (const stub of stubs)
    for (let path = stub; path !== "/"; path = posix.dirname(path)) if (!removeStub(upper, layers, path)) break;
}

/** Removes a file or directory if it is as good as not there; false if it stays. */
function removeStub(upper: string, layers: readonly string[], path: string): boolean {
  const parentFd = openDirectory(upper, posix.dirname(path));
  if (parentFd === undefined) return true; // there is nothing to remove, here and perhaps above
  const name = bytePath(posix.basename(path));
  const fd = tryOpenat(parentFd, name, O_PATH | O_NOFOLLOW);
  try {
    if (fd < 0) return true;
    const stat = fstatSync(fd);
    const below = statInLayers(layers, bytePath(path));
    if (below !== undefined && !isSameDirectory(stat, below)) return false;
    if (stat.isDirectory()) return !isOpaqueDirectory(fd) && tryRmdirat(parentFd, name) === 0;
    return stat.isFile() && stat.size === 0 && tryUnlinkat(parentFd, name) === 0;
  } finally {
    if (fd >= 0) closeSync(fd);
    closeSync(parentFd);
  }
}

function isSameDirectory(a: Stats, b: Stats): boolean {
  return a.isDirectory() && b.isDirectory() && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid;
}

/** Opens a directory below `root` without following symlinks; undefined if it is none. */
function openDirectory(root: string, path: string): number | undefined {
  let fd = openat(AT_FDCWD, bytePath(root), O_PATH | O_DIRECTORY);
  for (const name of path.split("/").filter((each) => each !== "")) {
    const next = tryOpenat(fd, bytePath(name), O_PATH | O_DIRECTORY | O_NOFOLLOW);
    closeSync(fd);
    if (next < 0) return undefined;
    fd = next;
  }
  return fd;
}
