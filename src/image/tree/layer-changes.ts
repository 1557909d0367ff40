/**
 * Lists what an overlayfs upper directory changes in the layers below it, as `docker diff` does. A container may change the
 * directory meanwhile: see tree-tar.ts for how that is kept harmless.
 */
import { closeSync, fstatSync, type Stats } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { LAYER_MAX_ENTRIES, LAYER_PATH_MAX_DEPTH } from "../../base/limits.ts";
import {
  type BytePath,
  ENOENT,
  ENOTDIR,
  getxattrFd,
  kernelError,
  O_NOFOLLOW,
  O_PATH,
  showPath,
  tryOpenat,
} from "../../linux/sys/fs.ts";
import { closeAll, type Found, isOpaque, isWhiteout, lookup, namesIn, openAllRoots } from "./layered-fs.ts";

export interface Change {
  /** The path from "/". */
  path: BytePath;
  kind: "modified" | "added" | "deleted";
}

const CAPABILITY_XATTR = "security.capability";

/**
 * Lists the changes, sorted by path. `lowerPaths` has the topmost first. As with Docker, a directory is modified if its mode or
 * owner is, or if anything in it has changed; of what is deleted or replaced, only the topmost directory is listed.
 */
export function listChanges(upperPath: string, lowerPaths: readonly string[], beat: () => void = () => {}): Change[] {
  const walk = new ChangeWalk(beat);
  const [upper, lower] = openAllRoots([upperPath], lowerPaths) as [number[], number[]];
  try {
    walk.directory(upper[0]!, lower, "", false, LAYER_PATH_MAX_DEPTH);
  } finally {
    closeAll([...upper, ...lower]);
  }
  return [...walk.changes]
    .map(([path, kind]) => ({ path: `/${path}` as BytePath, kind }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

class ChangeWalk {
  readonly changes = new Map<string, Change["kind"]>();
  #entryCount = 0;
  readonly #beat: () => void;

  constructor(beat: () => void) {
    this.#beat = beat;
  }

  /**
   * Compares a directory. `path` is "" or has its final slash. `hides`: what the layers below have here is not seen through the
   * upper one.
   */
  directory(upperFd: number, lower: readonly number[], path: string, hides: boolean, depth: number): void {
    if (depth === 0)
      throw new LighterError(
        "not-supported",
        `"/${showPath(path)}" is deeper than ${LAYER_PATH_MAX_DEPTH} directories`,
      );
    const names = namesIn([upperFd]);
    if (hides) for (const name of namesIn(lower)) names.add(name);
    for (const name of names) {
      if (++this.#entryCount > LAYER_MAX_ENTRIES)
        throw new LighterError(
          "not-supported",
          `"/${showPath(path)}" is beyond the limit of ${LAYER_MAX_ENTRIES} entries`,
        );
      this.#beat();
      const below = lower.length === 0 ? undefined : lookup(lower, name);
      try {
        this.#entry(upperFd, below, path, name, hides, depth);
      } finally {
        if (below !== undefined) closeAll(below.fds);
      }
    }
  }

  #entry(upperFd: number, below: Found | undefined, parent: string, name: string, hides: boolean, depth: number): void {
    const path = parent + name;
    const fd = tryOpenat(upperFd, name, O_PATH | O_NOFOLLOW);
    if (fd === ENOENT || fd === ENOTDIR) {
      // It is below an opaque directory, or was there a moment ago.
      if (below !== undefined) this.#change(parent, path, "deleted");
      return;
    }
    if (fd < 0) throw kernelError(fd, `open "${showPath(path)}"`);
    try {
      const stat = fstatSync(fd);
      if (isWhiteout(stat)) {
        if (below !== undefined) this.#change(parent, path, "deleted");
        return;
      }
      const lower = stat.isDirectory() && below?.stat.isDirectory() ? below.fds : undefined;
      if (below === undefined) this.#change(parent, path, "added");
      else if (differs(stat, below.stat) || hasOtherCapability(fd, stat, below)) this.#change(parent, path, "modified");
      if (!stat.isDirectory()) return;
      const hidesLower = lower !== undefined && (hides || isOpaque(fd));
      this.directory(fd, lower ?? [], `${path}/`, hidesLower, depth - 1);
    } finally {
      closeSync(fd);
    }
  }

  #change(parent: string, path: string, kind: Change["kind"]): void {
    this.changes.set(path, kind);
    for (let end = parent.length - 1; end > 0; end = parent.lastIndexOf("/", end - 1)) {
      const ancestor = parent.slice(0, end);
      if (this.changes.has(ancestor)) break; // and so are the directories above it
      this.changes.set(ancestor, "modified");
    }
  }
}

/**
 * Whether a file differs. A directory's time and size do not count: they change with its content. Copying up keeps all of these.
 */
function differs(a: Stats, b: Stats): boolean {
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid || a.rdev !== b.rdev) return true;
  return !a.isDirectory() && (a.mtimeMs !== b.mtimeMs || a.size !== b.size);
}

/** Whether a file's capabilities differ: they can be set without a change of its time or mode. */
function hasOtherCapability(fd: number, stat: Stats, below: Found): boolean {
  if (!stat.isFile() || !below.stat.isFile()) return false;
  const [own, other] = [getxattrFd(fd, CAPABILITY_XATTR), getxattrFd(below.fds[0]!, CAPABILITY_XATTR)];
  return own?.toString("latin1") !== other?.toString("latin1");
}
