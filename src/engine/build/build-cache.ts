/** Remembers what builds have done, in rows of a database of its own. Each step's files are a snapshot of the image store. */
import { Database } from "bun:sqlite";
import { rmSync } from "node:fs";
import { errnoOf, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { applyMigrations } from "../../base/migrations.ts";
import { beginWal, writeIfRoom } from "../../base/wal.ts";
import type { StepCache } from "../../build/mod.ts";
import type { ImageStore, SnapshotLayer } from "../../image/mod.ts";
import { DownloadTable } from "../sources/download-table.ts";
import { BuildHistory } from "./build-history.ts";
import { CacheMountTable } from "./cache-mount-table.ts";
import type { CacheRecord } from "./cache-prune.ts";

interface Row {
  key: string;
  snapshot: string;
  /** The snapshot over which the step was executed. */
  base: string;
  description: string;
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
  `DROP TABLE container;
   DROP TABLE step;
   CREATE TABLE step (
     key TEXT PRIMARY KEY,
     snapshot TEXT NOT NULL,
     base TEXT NOT NULL,
     description TEXT NOT NULL,
     created_ms INTEGER NOT NULL,
     last_used_ms INTEGER NOT NULL,
     usage_count INTEGER NOT NULL
   ) STRICT;`,
  `CREATE TABLE build (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL,
     started_ms INTEGER NOT NULL,
     ended_ms INTEGER NOT NULL,
     image TEXT NOT NULL,
     error TEXT NOT NULL,
     steps INTEGER NOT NULL,
     cached_steps INTEGER NOT NULL,
     log BLOB NOT NULL
   ) STRICT;
   CREATE TABLE moment (key TEXT PRIMARY KEY, created TEXT NOT NULL, last_used_ms INTEGER NOT NULL) STRICT;`,
  `CREATE TABLE cache_mount (
     directory TEXT PRIMARY KEY,
     id TEXT NOT NULL,
     size_bytes INTEGER NOT NULL,
     created_ms INTEGER NOT NULL,
     last_used_ms INTEGER NOT NULL,
     usage_count INTEGER NOT NULL
   ) STRICT;`,
  `ALTER TABLE build ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;`,
  `CREATE TABLE download (
     url TEXT PRIMARY KEY,
     etag TEXT NOT NULL,
     modified TEXT NOT NULL,
     digest TEXT NOT NULL,
     last_used_ms INTEGER NOT NULL
   ) STRICT;`,
];

/** How long the time of an outcome is remembered that no build has had. */
const MOMENT_MAX_AGE_MS = 60 * 24 * 60 * 60 * 1000;

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
    beginWal(db, path, "NORMAL"); // what a power cut takes is made anew
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
  readonly history: BuildHistory;
  readonly cacheMounts: CacheMountTable;
  readonly downloads: DownloadTable;

  constructor(path: string, images: ImageStore) {
    this.#images = images;
    this.#db = openDatabase(path);
    this.history = new BuildHistory(this.#db);
    this.cacheMounts = new CacheMountTable(this.#db);
    this.downloads = new DownloadTable(this.#db);
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }

  find(key: string, isUse: boolean): string | undefined {
    const row = this.#db.query("SELECT snapshot FROM step WHERE key = ?").get(key) as { snapshot: string } | null;
    if (row === null || !this.#images.snapshots.has(row.snapshot)) return undefined;
    if (isUse)
      this.#write("UPDATE step SET last_used_ms = ?, usage_count = usage_count + 1 WHERE key = ?", Date.now(), key);
    return row.snapshot;
  }

  add(key: string, { id, baseId, description }: { id: string; baseId: string; description: string }): void {
    const now = Date.now();
    this.#write("INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?, ?, ?, 1)", key, id, baseId, description, now, now);
  }

  /** When a step was made; 0 if it is not there. */
  createdMsOf(key: string): number {
    const row = this.#db.query("SELECT created_ms FROM step WHERE key = ?").get(key) as Row | null;
    return row?.created_ms ?? 0;
  }

  /** How often a step that is there was used, and when last. */
  usesOf(key: string): { usageCount: number; lastUsedMs: number } {
    const row = this.#db.query("SELECT usage_count, last_used_ms FROM step WHERE key = ?").get(key) as Row | null;
    return { usageCount: row?.usage_count ?? 0, lastUsedMs: row?.last_used_ms ?? 0 };
  }

  /** The newest step that is written so, and the snapshot over which it was executed. */
  lastWritten(description: string): { base: string; createdMs: number } | undefined {
    const query = "SELECT base, created_ms FROM step WHERE description = ? ORDER BY created_ms DESC LIMIT 1";
    const row = this.#db.query(query).get(description) as Row | null;
    return row === null ? undefined : { base: row.base, createdMs: row.created_ms };
  }

  /** When the outcome of a step was first made; undefined if none has been. */
  momentOf(key: string): string | undefined {
    const row = this.#db.query("SELECT created FROM moment WHERE key = ?").get(key) as { created: string } | null;
    if (row !== null) this.#write("UPDATE moment SET last_used_ms = ? WHERE key = ?", Date.now(), key);
    return row?.created;
  }

  noteMoment(key: string, created: string): void {
    this.#write("INSERT OR REPLACE INTO moment VALUES (?, ?, ?)", key, created, Date.now());
  }

  /** Writes down what a build can do without: a full disk fails none. */
  #write(sql: string, ...values: (string | number)[]): void {
    writeIfRoom(this.#db, () => this.#db.query(sql).run(...values));
  }

  /** The layers that the step has added. */
  #ownLayers({ snapshot, base }: Row): readonly SnapshotLayer[] {
    const { snapshots } = this.#images;
    if (base !== "" && !snapshots.has(base)) return [];
    return snapshots.layersOf(snapshot).slice(snapshots.layersOf(base).length);
  }

  /** The steps, oldest first. */
  records(): CacheRecord[] {
    const { snapshots } = this.#images;
    const inImages = this.#images.layersOfImages();
    const rows = this.#rows().filter(({ snapshot }) => snapshots.has(snapshot));
    const ids = new Map(rows.map(({ key, snapshot }) => [snapshot, idOfKey(key)]));
    return rows.map((row) => {
      const own = this.#ownLayers(row);
      const parent = row.base === row.snapshot ? undefined : ids.get(row.base);
      return {
        id: idOfKey(row.key),
        type: "regular",
        description: row.description,
        parents: parent === undefined ? [] : [parent],
        sizeBytes: own.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        isInUse: snapshots.isHeld(row.snapshot),
        isShared: own.length > 0 && own.every(({ packed }) => packed !== undefined && inImages.has(packed.record)),
        createdMs: row.created_ms,
        lastUsedMs: row.last_used_ms,
        usageCount: row.usage_count,
      };
    });
  }

  #rows(): Row[] {
    return this.#db.query("SELECT * FROM step ORDER BY created_ms").all() as Row[];
  }

  /**
   * Removes the snapshots that no step has and no build holds, and forgets the steps whose snapshot is gone, and those of these ids.
   * The rows go last: on a full disk there is room for that only then.
   */
  async tidy(forgotten: ReadonlySet<string> = new Set()): Promise<void> {
    const { snapshots } = this.#images;
    this.#write("DELETE FROM moment WHERE last_used_ms < ?", Date.now() - MOMENT_MAX_AGE_MS);
    const isStaying = ({ key, snapshot }: Row) => snapshots.has(snapshot) && !forgotten.has(idOfKey(key));
    const { staying = [], going = [] } = Object.groupBy(this.#rows(), (row) => (isStaying(row) ? "staying" : "going"));
    const kept = new Set(staying.flatMap(({ snapshot, base }) => [snapshot, base]));
    await this.#images.removeSnapshots(snapshots.ids().filter((id) => !kept.has(id)));
    for (const { key, snapshot } of going)
      this.#write("DELETE FROM step WHERE key = ? AND snapshot = ?", key, snapshot);
  }
}

const ID_DIGITS = 25;

/** The id by which a step is listed. */
function idOfKey(key: string): string {
  return key.slice("sha256:".length, "sha256:".length + ID_DIGITS);
}
