/** Remembers what builds have done, in rows of a database of its own. Each step's files are the layers of a hidden image. */
import { Database } from "bun:sqlite";
import { chmodSync, rmSync } from "node:fs";
import { errnoOf, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { applyMigrations } from "../../base/migrations.ts";
import { formatRfc3339 } from "../../base/time.ts";
import type { StepCache } from "../../build/mod.ts";
import type { ImageStore } from "../../image/mod.ts";

/** A step, as Docker's API lists it. */
interface BuildCacheRecord {
  ID: string;
  Type: "regular";
  Description: string;
  InUse: boolean;
  Shared: boolean;
  Size: number;
  CreatedAt: string;
  LastUsedAt: string;
  UsageCount: number;
}

interface Row {
  key: string;
  image_id: string;
  base_id: string;
  description: string;
  size_bytes: number;
  created_ms: number;
  last_used_ms: number;
  usage_count: number;
}

/** The migrations, one a schema version, in order. Append only. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE step (
     key TEXT PRIMARY KEY,
     image_id TEXT NOT NULL,
     base_id TEXT NOT NULL,
     description TEXT NOT NULL,
     size_bytes INTEGER NOT NULL,
     created_ms INTEGER NOT NULL,
     last_used_ms INTEGER NOT NULL,
     usage_count INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE container (name TEXT PRIMARY KEY) STRICT;`,
];

/** Opens the database; a damaged one is removed, since it is only a cache. */
function openDatabase(path: string): Database {
  try {
    return openAt(path);
  } catch (error) {
    if (!/^SQLITE_(CORRUPT|NOTADB)/.test(errnoOf(error))) throw error;
    log.error(`open "${path}": ${messageOf(error)}: what builds have done is forgotten`);
    for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
    return openAt(path);
  }
}

function openAt(path: string): Database {
  const db = new Database(path, { create: true });
  try {
    chmodSync(path, 0o600);
    db.run("PRAGMA journal_mode = WAL");
    db.run("PRAGMA synchronous = NORMAL"); // what a power cut takes is made anew
    applyMigrations(db, path, MIGRATIONS);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

export class BuildCache implements StepCache, Disposable {
  readonly #db: Database;
  readonly #images: ImageStore;

  constructor(path: string, images: ImageStore) {
    this.#images = images;
    this.#db = openDatabase(path);
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }

  find(key: string): string | undefined {
    const row = this.#db.query("SELECT image_id FROM step WHERE key = ?").get(key) as { image_id: string } | null;
    if (row === null || !this.#images.isThere(row.image_id)) return undefined;
    this.#db
      .query("UPDATE step SET last_used_ms = ?, usage_count = usage_count + 1 WHERE key = ?")
      .run(Date.now(), key);
    return row.image_id;
  }

  add(key: string, { id, baseId, description }: { id: string; baseId: string; description: string }): void {
    const sizes = this.#images.layerSizesOf(id);
    const below = baseId === "" ? 0 : this.#images.layerSizesOf(baseId).length;
    const bytes = sizes.slice(below).reduce((sum, size) => sum + size, 0);
    const now = Date.now();
    this.#db
      .query("INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?, ?, ?, ?, 1)")
      .run(key, id, baseId, description, bytes, now, now);
  }

  list(isInUse: boolean): BuildCacheRecord[] {
    return this.#rows().map((row) => ({
      ID: row.key.slice("sha256:".length, "sha256:".length + 25),
      Type: "regular",
      Description: row.description,
      InUse: isInUse,
      Shared: false,
      Size: row.size_bytes,
      CreatedAt: formatRfc3339(BigInt(row.created_ms) * 1_000_000n),
      LastUsedAt: formatRfc3339(BigInt(row.last_used_ms) * 1_000_000n),
      UsageCount: row.usage_count,
    }));
  }

  #rows(): Row[] {
    return this.#db.query("SELECT * FROM step ORDER BY created_ms").all() as Row[];
  }

  clear(): void {
    this.#db.run("DELETE FROM step");
  }

  /** Removes the hidden images that no step has, and forgets the steps whose image is gone. */
  async tidy(): Promise<void> {
    const kept = new Set<string>();
    for (const { key, image_id, base_id } of this.#rows())
      if (this.#images.isThere(image_id)) kept.add(image_id).add(base_id);
      else this.#db.query("DELETE FROM step WHERE key = ?").run(key);
    for (const id of this.#images.cacheIds())
      if (!kept.has(id)) await this.#images.remove(id, { force: false, users: [] });
  }

  // --- Containers of steps, for the daemon that comes after one that was killed ---

  noteContainer(name: string): void {
    this.#db.query("INSERT INTO container VALUES (?)").run(name);
  }

  forgetContainer(name: string): void {
    this.#db.query("DELETE FROM container WHERE name = ?").run(name);
  }

  containers(): string[] {
    return (this.#db.query("SELECT name FROM container").all() as { name: string }[]).map(({ name }) => name);
  }
}
