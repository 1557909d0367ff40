/** Where directories go that nobody needs any more: out of sight at once, deleted in time. */
import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoOf, messageOf } from "../base/errors.ts";
import { randomId } from "../base/ids.ts";
import { log } from "../base/log.ts";
import { removeJob } from "./jobs.ts";
import { type FileWorkers, Stalled } from "./workers.ts";

/** What comes at once is deleted at once, and not while whoever has removed it is waiting for something else. */
const DELAY_MS = 200;
/** After a failure that may pass, such as no memory for a worker. */
const RETRY_MS = 2000;
const ATTEMPTS = 3;

interface Pending {
  directory: string;
  name: string;
  attempts: number;
  done: () => void;
}

/**
 * A directory beside those that end in it, on the same file system. What a daemon that was killed has left there goes with the
 * next one's.
 */
export class Trash {
  readonly path: string;
  readonly #workers: FileWorkers;
  readonly #pending: Pending[] = [];
  /** What could not be deleted; the next daemon tries. */
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

  /** Removed and not yet deleted. */
  get pendingCount(): number {
    return this.#pending.length + this.#failedCount;
  }

  /** Nothing has the name `path` any more. What is not there needs no moving. @throws Node's error, as of a mount point */
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
   * The same where it must not fail, at once if it can be. What cannot be moved, being of another file system, is deleted where
   * it is, or the log says why not, when the promise resolves.
   */
  discard(path: string): Promise<void> {
    try {
      this.move(path);
      return Promise.resolve();
    } catch {
      return this.#add(dirname(path), basename(path));
    }
  }

  /** Resolves when nothing is left to be deleted. */
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

  /** One after the other: who deletes has the disk to share with those who do not. */
  async #deleteAll(): Promise<void> {
    for (let next = this.#pending[0]; next !== undefined && !this.#isClosed; next = this.#pending[0]) {
      if (!(await this.#delete(next))) return;
      this.#pending.shift();
      next.done();
    }
  }

  /** False: to be tried later. */
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
