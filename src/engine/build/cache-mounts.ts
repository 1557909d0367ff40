/** The directories of `RUN --mount=type=cache`: they outlive builds, and are in no layer. */
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { log } from "../../base/log.ts";
import type { CacheMount } from "../../build/mod.ts";
import type { Trash } from "../../files/mod.ts";
import type { CacheMountTable } from "./cache-mount-table.ts";
import type { CacheRecord } from "./cache-prune.ts";

type Wish = Pick<CacheMount, "id" | "sharing" | "mode" | "uid" | "gid">;

interface CacheMountsOptions {
  table: Pick<CacheMountTable, "all" | "add" | "noteUse" | "setSize" | "delete">;
  /** Where the directories are. */
  path: string;
  trash: Pick<Trash, "discard">;
  /** Counts the bytes of files. */
  measure: (path: string) => Promise<number>;
}

/** A directory, until it is disposed of. */
interface CacheInUse extends Disposable {
  path: string;
  /** True if nothing has ever been in it. */
  isNew: boolean;
}

const DIRECTORY_DIGITS = 24;

/**
 * Who uses which directory. By `sharing`: "shared" users have one together; a "locked" user waits until nobody else has it; a
 * "private" one gets another directory of the same id.
 */
export class CacheMounts {
  readonly #table: CacheMountsOptions["table"];
  readonly #path: string;
  readonly #trash: Pick<Trash, "discard">;
  readonly #measure: (path: string) => Promise<number>;
  /** The number of users by directory. */
  readonly #users = new Map<string, number>();
  /** Those who wait for a directory. */
  readonly #waiting = new Set<() => void>();

  constructor({ table, path, trash, measure }: CacheMountsOptions) {
    this.#table = table;
    this.#path = path;
    this.#trash = trash;
    this.#measure = measure;
    mkdirSync(path, { recursive: true, mode: 0o711 });
  }

  /** Takes a directory. @throws `signal`'s reason while it waits */
  async use(wish: Wish, signal: AbortSignal): Promise<CacheInUse> {
    for (;;) {
      signal.throwIfAborted();
      const names = this.#table.all().flatMap(({ id, directory }) => (id === wish.id ? [directory] : []));
      const free = names.find((name) => !this.#users.has(name));
      if (wish.sharing === "shared" && names[0] !== undefined) return this.#take(names[0], wish);
      if (free !== undefined) return this.#take(free, wish);
      if (wish.sharing === "private" || names.length === 0) return this.#take(this.#newName(wish), wish);
      await this.#untilReleased(signal);
    }
  }

  #newName({ id }: Wish): string {
    const name = randomId().slice(0, DIRECTORY_DIGITS);
    this.#table.add(name, id);
    return name;
  }

  /** Takes a directory, which is made if it is new, or if its removal has left the row. */
  #take(name: string, { mode, uid, gid }: Wish): CacheInUse {
    const path = join(this.#path, name);
    const isNew = !existsSync(path);
    if (isNew) {
      mkdirSync(path);
      chownSync(path, uid, gid);
      chmodSync(path, mode);
    }
    this.#users.set(name, (this.#users.get(name) ?? 0) + 1);
    this.#table.noteUse(name);
    return { path, isNew, [Symbol.dispose]: () => this.#release(name) };
  }

  #release(name: string): void {
    const count = this.#users.get(name)! - 1;
    if (count > 0) this.#users.set(name, count);
    else this.#users.delete(name);
    for (const wake of [...this.#waiting]) wake();
    void this.#noteSize(name);
  }

  async #noteSize(name: string): Promise<void> {
    try {
      this.#table.setSize(name, Math.max(await this.#measure(join(this.#path, name)), 0));
    } catch (error) {
      log.error(`measure a cache of builds: ${messageOf(error)}`);
    }
  }

  async #untilReleased(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    signal.addEventListener("abort", () => resolve());
    await promise;
    this.#waiting.delete(resolve);
  }

  /** Lists the directories as parts of the cache. */
  records(): CacheRecord[] {
    return this.#table.all().map((row) => ({
      ...{ id: row.directory, type: "exec.cachemount", description: `cached mount ${row.id}`, parents: [] },
      ...{ sizeBytes: row.size_bytes, isInUse: this.#users.has(row.directory), isShared: false },
      ...{ createdMs: row.created_ms, lastUsedMs: row.last_used_ms, usageCount: row.usage_count },
    }));
  }

  /** Removes those of the directories that nobody uses. */
  async remove(ids: ReadonlySet<string>): Promise<void> {
    for (const { directory } of this.#table.all())
      if (ids.has(directory) && !this.#users.has(directory)) {
        await this.#trash.discard(join(this.#path, directory));
        this.#table.delete(directory); // after that there may be room for it
      }
  }

  /** Removes what no row names, which a daemon that was killed has left, or a database that was damaged. */
  async recover(): Promise<void> {
    const known = new Set(this.#table.all().map(({ directory }) => directory));
    for (const name of readdirSync(this.#path))
      if (!known.has(name) && !this.#users.has(name)) await this.#trash.discard(join(this.#path, name));
  }
}
