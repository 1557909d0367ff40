/**
 * Measures the files below a directory while somebody may be changing them: by fds, without following symlinks, to a depth that
 * no path could name.
 */

import { closeSync } from "node:fs";
import { AT_FDCWD } from "./sys/abi.ts";
import { type EntryStat, readEntries, statEntry } from "./sys/directory.ts";
import { bytePath, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, tryOpenat } from "./sys/fs.ts";

const FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
/** How many levels have open fds. Those of deeper levels are closed, and opened again by ".." on the way back. */
const OPEN_MAX = 128;

interface Level {
  fd: number;
  identity: string;
  /** Directories that are still to be looked into. */
  directories: string[];
}

export interface TreeUsage {
  /** The bytes of regular files. */
  bytes: number;
  /** The number of files of all kinds, directories among them. */
  inodes: number;
}

/**
 * Measures what is below a directory, each file once. Files that go meanwhile do not count, nor do those that are moved elsewhere
 * while we are in it.
 */
export function measureTree(path: string, beat: () => void = () => {}): TreeUsage {
  const fd = tryOpenat(AT_FDCWD, bytePath(path), FLAGS);
  if (fd < 0) return { bytes: 0, inodes: 0 };
  const measuring = new Measuring(beat);
  try {
    measuring.run(fd);
  } finally {
    measuring.close();
  }
  return { bytes: measuring.bytes, inodes: measuring.inodes };
}

class Measuring {
  readonly #beat: () => void;
  readonly #levels: Level[] = [];
  /** Files with several names that have been counted. */
  readonly #counted = new Set<string>();
  bytes = 0;
  inodes = 0;

  constructor(beat: () => void) {
    this.#beat = beat;
  }

  close(): void {
    for (const { fd } of this.#levels.splice(0)) if (fd >= 0) closeSync(fd);
  }

  run(fd: number): void {
    this.#enter(fd);
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      const name = level.directories.pop();
      if (name === undefined) this.#leave();
      else {
        const child = tryOpenat(level.fd, name, FLAGS);
        if (child >= 0) this.#enter(child);
      }
    }
  }

  #enter(fd: number): void {
    const level: Level = { fd, identity: statEntry(fd, "")?.identity ?? "", directories: [] };
    this.#levels.push(level);
    for (let entries = readEntries(fd); entries.length > 0; entries = readEntries(fd))
      for (const { name, isDirectory } of entries) {
        this.#beat();
        const stat = isDirectory ? undefined : statEntry(fd, name);
        if (isDirectory || stat?.kind === "directory") {
          level.directories.push(name);
          this.inodes++;
        } else if (stat !== undefined) this.#count(stat);
      }
    const above = this.#levels.at(-2);
    if (above === undefined || this.#levels.length <= OPEN_MAX) return;
    closeSync(above.fd);
    above.fd = -1;
  }

  #count({ kind, sizeBytes, linkCount, identity }: EntryStat): void {
    if (linkCount > 1 && this.#counted.has(identity)) return;
    if (linkCount > 1) this.#counted.add(identity);
    this.inodes++;
    if (kind === "file") this.bytes += sizeBytes;
  }

  #leave(): void {
    const { fd } = this.#levels.pop()!;
    const above = this.#levels.at(-1);
    if (above?.fd === -1) this.#reopen(above, fd);
    closeSync(fd);
  }

  /**
   * Opens a level again. If ".." leads elsewhere, somebody has moved the directory that we come from: the rest above it is given
   * up.
   */
  #reopen(above: Level, fd: number): void {
    const parent = tryOpenat(fd, "..", FLAGS);
    if (parent >= 0 && statEntry(parent, "")?.identity === above.identity) {
      above.fd = parent;
      return;
    }
    if (parent >= 0) closeSync(parent);
    while (this.#levels.at(-1)?.fd === -1) this.#levels.pop();
  }
}
