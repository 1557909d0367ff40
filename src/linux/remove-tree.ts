/**
 * Removes a directory tree that somebody else has made, however deep and wide: by fds, in one pass, in little memory. No symlink
 * is followed, and nothing that is mounted in it is touched.
 */

import { closeSync } from "node:fs";
import { randomId } from "../base/ids.ts";
import { EISDIR, ENOTEMPTY } from "./sys/abi.ts";
import { type DirectoryEntry, readEntries, rewind } from "./sys/directory.ts";
import {
  ENOENT,
  kernelError,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  showPath,
  tryOpenat2,
  tryRenameat,
  tryRmdirat,
  tryUnlinkat,
} from "./sys/fs.ts";

/** How many levels have open fds. A deeper directory is first moved up, so that a tree of any depth takes few. */
const OPEN_MAX = 64;
/** How often a directory is read. If it still has entries after that, somebody keeps adding them. */
const ROUNDS = 8;

interface Level {
  fd: number;
  /** The name in the level above. */
  name: string;
  /** Entries that have been read and not yet removed. */
  entries: DirectoryEntry[];
  rounds: number;
}

/**
 * Removes the entry and all below it. A missing entry counts as removed. `beat` is called for every entry.
 * @throws LighterError ("kernel") that names the first entry which cannot be removed, when all others are
 */
export function removeTreeAt(directoryFd: number, name: string, beat: () => void = () => {}): void {
  const rc = tryUnlinkat(directoryFd, name);
  if (rc === 0 || rc === ENOENT) return;
  if (rc !== EISDIR) throw kernelError(rc, `remove "${showPath(name)}"`);
  const removal = new Removal(directoryFd, name, beat);
  try {
    removal.run();
  } finally {
    removal.close();
  }
  if (removal.failure !== undefined) throw removal.failure;
}

class Removal {
  readonly #directoryFd: number;
  readonly #beat: () => void;
  readonly #levels: Level[] = [];
  /** A prefix that no name in the tree has. */
  readonly #prefix = randomId();
  #movedCount = 0;
  failure: Error | undefined;

  constructor(directoryFd: number, name: string, beat: () => void) {
    this.#directoryFd = directoryFd;
    this.#beat = beat;
    this.#enter(directoryFd, name);
  }

  close(): void {
    for (const { fd } of this.#levels.splice(0)) closeSync(fd);
  }

  run(): void {
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      if (level.entries.length === 0) level.entries = readEntries(level.fd);
      const entry = level.entries.pop();
      if (entry !== undefined) this.#remove(level, entry);
      else this.#leave(level);
    }
  }

  #remove(level: Level, { name, isDirectory }: DirectoryEntry): void {
    this.#beat();
    const rc = isDirectory === true ? EISDIR : tryUnlinkat(level.fd, name);
    if (rc === EISDIR) {
      if (this.#levels.length < OPEN_MAX || !this.#moveUp(level, name)) this.#enter(level.fd, name);
    } else if (rc < 0 && rc !== ENOENT) this.#failed(rc, name);
  }

  /** Moves a directory into the tree's own top directory, which is done only when it is empty. */
  #moveUp(level: Level, name: string): boolean {
    const top = this.#levels[0]!;
    if (tryRenameat(level.fd, name, top.fd, `.${this.#prefix}.${this.#movedCount++}`) < 0) return false;
    top.rounds = 0;
    return true;
  }

  #enter(parentFd: number, name: string): void {
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    const fd = tryOpenat2(parentFd, name, flags, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    if (fd >= 0) this.#levels.push({ fd, name, entries: [], rounds: 0 });
    else if (fd !== ENOENT) this.#failed(fd, name);
  }

  /** Leaves a level. Names that came while it was read, or that removing others has hidden, are found by reading once more. */
  #leave(level: Level): void {
    const above = this.#levels.at(-2)?.fd ?? this.#directoryFd;
    const rc = tryRmdirat(above, level.name);
    if (rc === ENOTEMPTY && ++level.rounds < ROUNDS && this.failure === undefined) {
      rewind(level.fd);
      return;
    }
    this.#levels.pop();
    closeSync(level.fd);
    if (rc < 0 && rc !== ENOENT) this.#failed(rc, level.name);
  }

  #failed(rc: number, name: string): void {
    this.failure ??= kernelError(rc, `remove "${showPath(name)}"`);
  }
}
