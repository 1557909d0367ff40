/** Deletes directories in the background: they are out of sight at once. */
import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoOf, messageOf } from "../base/errors.ts";
import { randomId } from "../base/ids.ts";
import { log } from "../base/log.ts";
import { removeJob } from "./jobs.ts";
import { type FileWorkers, Stalled } from "./workers.ts";

/**
 * How long deleting waits: several directories are deleted together, and not while the client that removed them waits for
 * something else.
 */
const DELAY_MS = 200;
/** How long to wait after a failure that may pass, such as no memory for a worker. */
const RETRY_MS = 2000;
const ATTEMPTS = 3;

interface Pending {
  directory: string;
  name: string;
  attempts: number;
  done: () => void;
}

/**
 * A directory into which others on the same file system are moved to be deleted. The next daemon deletes what a killed one has
 * left there.
 */
export class Trash {
  readonly path: string;
  readonly #workers: FileWorkers;
  readonly #pending: Pending[] = [];
  /** Directories that could not be deleted; the next daemon tries. */
  #failedCount = 0;
  #mayDelete = false;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** Makes the directory `path`. Nothing is deleted before `begin`. */
  constructor(path: string, workers: FileWorkers) {
    this.path = path;
    this.#workers = workers;
    mkdirSync(path, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(path, "latin1")) void this.#add(path, name);
  }

  begin(): void {
    this.#mayDelete = true;
    this.#schedule(DELAY_MS);
  }

  /** How many directories have been moved here and not yet been deleted. */
  get pendingCount(): number {
    return this.#pending.length + this.#failedCount;
  }

  /**
   * Moves `path` away, so that nothing has that name. A missing one needs no moving. @throws Node's error, as for a mount point
   */
  move(path: string): void {
    const name = randomId();
    try {
      renameSync(path, join(this.path, name));
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return;
      throw error;
    }
    void this.#add(this.path, name);
  }

  /**
   * Moves `path` away as `move` does, but must not fail. What cannot be moved, because it is on another file system, is deleted
   * where it is. The promise resolves when that is done or the log says why not.
   */
  discard(path: string): Promise<void> {
    try {
      this.move(path);
      return Promise.resolve();
    } catch {
      return this.#add(dirname(path), basename(path));
    }
  }

  /** Resolves when nothing is left to delete. */
  async emptied(): Promise<void> {
    while (this.#mayDelete && !this.#isClosed && this.#pending.length > 0) {
      this.#schedule(0);
      await this.#running;
    }
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #add(directory: string, name: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pending.push({ directory, name, attempts: 0, done: resolve });
    this.#schedule(DELAY_MS);
    return promise;
  }

  #schedule(delayMs: number): void {
    if (!this.#mayDelete || this.#isClosed || this.#running !== undefined || this.#pending.length === 0) return;
    clearTimeout(this.#timer);
    const begin = () => {
      this.#running = this.#deleteAll().finally(() => {
        this.#running = undefined;
        this.#schedule(RETRY_MS);
      });
    };
    if (delayMs === 0) begin();
    else this.#timer = setTimeout(begin, delayMs).unref();
  }

  /** Deletes one directory after the other: others need the disk, too. */
  async #deleteAll(): Promise<void> {
    for (let next = this.#pending[0]; next !== undefined && !this.#isClosed; next = this.#pending[0]) {
      if (!(await this.#delete(next))) return;
      this.#pending.shift();
      next.done();
    }
  }

  /** Returns false if it must be tried later. */
  async #delete(pending: Pending): Promise<boolean> {
    try {
      await this.#workers.run(removeJob, { directory: pending.directory, name: pending.name });
      return true;
    } catch (error) {
      if (this.#isClosed) return false;
      if (!(error instanceof Stalled) && ++pending.attempts < ATTEMPTS) return false;
      this.#failedCount++;
      log.error(`delete "${join(pending.directory, pending.name)}": ${messageOf(error)}`);
      return true;
    }
  }
}
