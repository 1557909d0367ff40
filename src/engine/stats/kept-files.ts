/**
 * Files of cgroups that stay open from one reading to the next: opening and closing one takes five times as long as reading it. An
 * open one takes 4 KiB of the kernel's memory, so they are closed when nobody has asked for a while.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { KEPT_FILES_MAX } from "../../base/limits.ts";
import type { ReadText } from "../../linux/cgroup/mod.ts";

/** Longer than the pause between two scrapes. */
const KEPT_MS = 90_000;
/** The part of our descriptors that may be files here. */
const SHARE = 1 / 2;

interface Kept {
  fd: number;
  /** The reading in which it was used last. */
  round: number;
}

/** The largest file that is read: memory.stat has 3 KB, net/dev 120 bytes for an interface. */
const buffer = Buffer.alloc(64 * 1024);

const readAll = (fd: number) => buffer.toString("latin1", 0, readSync(fd, buffer, 0, buffer.length, 0));

export class KeptFiles {
  readonly #kept = new Map<string, Kept>();
  #round = 0;
  #timer: NodeJS.Timeout | undefined;
  #max: number | undefined;

  get count(): number {
    return this.#kept.size;
  }

  /** Calls `use` with what reads files. Those that were open, and are not read this time, are closed afterwards. */
  readAll<T>(use: (read: ReadText) => T): T {
    this.#round++;
    try {
      return use((path) => this.#read(path));
    } finally {
      for (const [path, { round }] of this.#kept) if (round !== this.#round) this.#close(path);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.closeAll(), KEPT_MS).unref();
    }
  }

  closeAll(): void {
    for (const path of this.#kept.keys()) this.#close(path);
  }

  /** Reads a file of the kernel's; undefined if it is not there any more. */
  #read(path: string): string | undefined {
    const kept = this.#kept.get(path);
    if (kept !== undefined)
      try {
        kept.round = this.#round;
        return readAll(kept.fd);
      } catch {
        this.#close(path); // that cgroup has gone; there may be another one in its place
      }
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch {
      return undefined;
    }
    // An open file of /proc would keep a network namespace.
    const isKept = path.startsWith("/sys/") && this.#kept.size < this.#maxCount();
    try {
      const text = readAll(fd);
      if (isKept) this.#kept.set(path, { fd, round: this.#round });
      else closeSync(fd);
      return text;
    } catch {
      closeSync(fd);
      return undefined; // the cgroup or the process has gone
    }
  }

  #close(path: string): void {
    closeSync(this.#kept.get(path)!.fd);
    this.#kept.delete(path);
  }

  #maxCount(): number {
    if (this.#max === undefined) {
      const [, limit = "0"] = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
      this.#max = Math.min(KEPT_FILES_MAX, Math.floor(Number(limit) * SHARE));
    }
    return this.#max;
  }
}
