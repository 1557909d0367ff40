/** The image store's database. */
import { Database } from "bun:sqlite";
import { renameSync, writeFileSync } from "node:fs";
import { errnoOf, isDiskFull, LighterError, messageOf } from "../../base/errors.ts";
import type { ChainId, DiffId, Digest } from "../../base/ids.ts";
import { COPIES_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { applyMigrations, schemaOf } from "../../base/migrations.ts";
import { beginWal, checkpoint, writeIfRoom, writeWithRoom } from "../../base/wal.ts";
import { writePoint } from "../../base/write-point.ts";
import type { Descriptor } from "../../spec/oci-image.ts";
import { writeFailure } from "./write-failure.ts";

export interface RootAttributes {
  mode: number;
  uid: number;
  gid: number;
}

/** An unpacked layer. */
export interface LayerRecord {
  /** The diffId, or the chainId if the layer implies directories. */
  key: DiffId | ChainId;
  /** True if it implies directories: then it serves no other chain. */
  implied: boolean;
  /** The directory's name in l/. */
  directory: string;
  sizeBytes: number;
  /** The attributes of "/" in it, if it has any. */
  root?: RootAttributes;
  /** The blob from which it was unpacked: another image's manifest can name that without storing it twice. */
  blob: Pick<Descriptor, "mediaType" | "digest" | "size">;
}

export interface ImageRecord {
  /** The digest of the config document. */
  id: Digest;
  manifestDigest: Digest;
  manifestSize: number;
  manifestMediaType: string;
  /** When a container was last made or started from it, or when it was loaded or pulled. */
  lastUsedAtMs: number;
  /** The image that it was made from by a step of a build, or by a commit. */
  parent?: Digest;
}

/** A snapshot's row. */
interface SnapshotRecord {
  id: string;
  /** Names in l/, lowest layer first. */
  directories: readonly string[];
  /** The boot in which it was written; null once the disk has all of it. */
  boot: string | null;
}

export interface SnapshotLayerRecord {
  directory: string;
  root: RootAttributes | undefined;
  /** 0 as long as nobody has measured it. */
  sizeBytes: number;
  /** Undefined if nobody has made a tar of it. */
  diffId: DiffId | undefined;
}

/** The changes of one transaction. References are full: "docker.io/library/hello:latest". */
export interface Changes {
  addLayers?: readonly LayerRecord[];
  addImages?: readonly ImageRecord[];
  /** Images by the image that they were made from. */
  setParents?: ReadonlyMap<Digest, Digest>;
  /** Images by reference; a reference that meant another image is moved. */
  setReferences?: ReadonlyMap<string, Digest>;
  /** For references whose image has forms for several platforms: all of them, in order. */
  setForms?: ReadonlyMap<string, readonly Digest[]>;
  deleteReferences?: readonly string[];
  deleteImages?: readonly Digest[];
  /** The layers' keys. */
  deleteLayers?: readonly string[];
  /** The snapshots that the disk has by now. */
  syncedSnapshots?: readonly string[];
  /** The next number in l/; it only counts up. */
  nextDirectory?: number;
}

interface LayerRow {
  key: string;
  implied: number;
  directory: string;
  size_bytes: number;
  root: string | null;
  media_type: string;
  digest: string;
  size: number;
  added_at_ms: number;
}

interface ImageRow {
  id: string;
  manifest_digest: string;
  manifest_size: number;
  manifest_media_type: string;
  last_used_at_ms: number;
  parent: string | null;
}

/** The steps to each schema version, in order; `user_version` counts those applied. Append only. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE image (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     manifest_digest TEXT NOT NULL,
     manifest_size INTEGER NOT NULL,
     manifest_media_type TEXT NOT NULL,
     last_used_at_ms INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE reference (
     name TEXT PRIMARY KEY,
     image_id TEXT NOT NULL REFERENCES image (id)
   ) STRICT;
   CREATE TABLE layer (
     key TEXT PRIMARY KEY,
     implied INTEGER NOT NULL,
     directory TEXT NOT NULL UNIQUE,
     size_bytes INTEGER NOT NULL,
     root TEXT,
     media_type TEXT NOT NULL,
     digest TEXT NOT NULL,
     size INTEGER NOT NULL,
     added_at_ms INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE blob_place (
     digest TEXT NOT NULL,
     repository TEXT NOT NULL,
     PRIMARY KEY (digest, repository)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE next_directory (value INTEGER NOT NULL) STRICT;
   INSERT INTO next_directory VALUES (1);`,
  `ALTER TABLE image ADD COLUMN is_cache INTEGER NOT NULL DEFAULT 0;`,
  `CREATE TABLE snapshot (id TEXT PRIMARY KEY, directories TEXT NOT NULL, boot TEXT) STRICT;
   CREATE TABLE snapshot_layer (
     directory TEXT PRIMARY KEY,
     root TEXT,
     size_bytes INTEGER NOT NULL,
     diff_id TEXT
   ) STRICT;
   DELETE FROM image WHERE is_cache = 1 AND id NOT IN (SELECT image_id FROM reference);
   ALTER TABLE image DROP COLUMN is_cache;`,
  `ALTER TABLE image ADD COLUMN parent TEXT;`,
  `CREATE TABLE form (name TEXT NOT NULL, position INTEGER NOT NULL, image_id TEXT NOT NULL) STRICT;`,
];

/**
 * The image store's state: the images, their names and layers, and where their blobs have been seen. It is the truth about all of
 * these; index.json is written from it. A power cut loses nothing that was answered (synchronous=FULL).
 */
export class ImageDatabase implements Disposable {
  readonly #db: Database;
  readonly #path: string;
  readonly #makeRoom: () => boolean;
  #copyTimer: NodeJS.Timeout | undefined;

  /**
   * `makeRoom` frees space on a full disk, or returns false. `isNew` allows making the database.
   * @throws LighterError "conflict" if another process has it open, "not-supported" if a newer Lighter wrote it, "internal" with
   *   DAMAGED if it cannot be read, or does not exist and may not be made.
   */
  constructor(
    path: string,
    { makeRoom = () => false, isNew = true }: { makeRoom?: () => boolean; isNew?: boolean } = {},
  ) {
    this.#path = path;
    this.#db = openDatabase(path, makeRoom, isNew);
    this.#makeRoom = makeRoom;
    this.#copyLater();
  }

  /** Copies the database later, for when it is lost: see recover-database.ts. */
  #copyLater(): void {
    this.#copyTimer ??= setTimeout(() => {
      this.#copyTimer = undefined;
      try {
        writeFileSync(`${this.#path}.copy.new`, this.#db.serialize(), { mode: 0o600 });
        renameSync(`${this.#path}.copy.new`, `${this.#path}.copy`);
      } catch (error) {
        if (!isDiskFull(error)) log.error(`copy the image database: ${messageOf(error)}`);
      }
    }, COPIES_MS).unref();
  }

  /** Writes all that `write` does, or nothing. */
  #write(write: () => void): void {
    writeWithRoom(this.#db, this.#db.transaction(write), this.#makeRoom);
    this.#copyLater();
    checkpoint(this.#db); // changes are few, and would be lost with the log
  }

  /** The images in the order in which they came. */
  images(): ImageRecord[] {
    const rows = this.#db.query("SELECT * FROM image ORDER BY seq").all() as ImageRow[];
    return rows.map((row) => ({
      id: row.id as Digest,
      manifestDigest: row.manifest_digest as Digest,
      manifestSize: row.manifest_size,
      manifestMediaType: row.manifest_media_type,
      lastUsedAtMs: row.last_used_at_ms,
      ...(row.parent === null ? {} : { parent: row.parent as Digest }),
    }));
  }

  references(): Map<string, Digest> {
    const rows = this.#db.query("SELECT name, image_id FROM reference").all() as { name: string; image_id: string }[];
    return new Map(rows.map(({ name, image_id }) => [name, image_id as Digest]));
  }

  /** The images with a name that has several: see `Changes`. */
  forms(): Map<string, Digest[]> {
    const rows = this.#db.query("SELECT name, image_id FROM form ORDER BY name, position").all();
    const byName = Map.groupBy(rows as { name: string; image_id: string }[], ({ name }) => name);
    return new Map([...byName].map(([name, forms]) => [name, forms.map(({ image_id }) => image_id as Digest)]));
  }

  layers(): (LayerRecord & { addedAtMs: number })[] {
    return (this.#db.query("SELECT * FROM layer").all() as LayerRow[]).map((row) => ({
      key: row.key as DiffId | ChainId,
      implied: row.implied !== 0,
      directory: row.directory,
      sizeBytes: row.size_bytes,
      ...(row.root === null ? {} : { root: JSON.parse(row.root) as RootAttributes }),
      blob: { mediaType: row.media_type, digest: row.digest as Digest, size: row.size },
      addedAtMs: row.added_at_ms,
    }));
  }

  nextDirectory(): number {
    return (this.#db.query("SELECT value FROM next_directory").get() as { value: number }).value;
  }

  /**
   * Applies all of the changes or none. What they add must be on the disk by now. @throws LighterError ("kernel", "internal").
   */
  apply(changes: Changes): void {
    writePoint("change images");
    try {
      this.#write(() => this.#apply(changes));
    } catch (error) {
      if (isDiskFull(error)) throw writeFailure(this.#path, error, "ENOSPC");
      throw new LighterError("internal", `write the image database: ${messageOf(error)}`, { cause: error });
    }
    writePoint("changed images");
  }

  #apply(changes: Changes): void {
    const db = this.#db;
    const nowMs = Date.now();
    const addLayer = db.query("INSERT OR REPLACE INTO layer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (const { key, implied, directory, sizeBytes, root, blob } of changes.addLayers ?? [])
      addLayer.run(
        key,
        Number(implied),
        directory,
        sizeBytes,
        root === undefined ? null : JSON.stringify(root),
        blob.mediaType,
        blob.digest,
        blob.size,
        nowMs,
      );
    if (changes.nextDirectory !== undefined)
      db.query("UPDATE next_directory SET value = max(value, ?)").run(changes.nextDirectory);
    const addImage = db.query(
      `INSERT INTO image (id, manifest_digest, manifest_size, manifest_media_type, last_used_at_ms)
       VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET manifest_digest = excluded.manifest_digest,
         manifest_size = excluded.manifest_size, manifest_media_type = excluded.manifest_media_type`, // the row of a damaged image
    );
    for (const image of changes.addImages ?? [])
      addImage.run(image.id, image.manifestDigest, image.manifestSize, image.manifestMediaType, image.lastUsedAtMs);
    const setParent = db.query("UPDATE image SET parent = ? WHERE id = ?");
    for (const [id, parent] of changes.setParents ?? []) setParent.run(parent, id);
    const setReference = db.query("INSERT OR REPLACE INTO reference (name, image_id) VALUES (?, ?)");
    const deleteForms = db.query("DELETE FROM form WHERE name = ?");
    for (const [name, id] of changes.setReferences ?? []) {
      setReference.run(name, id);
      deleteForms.run(name);
    }
    const addForm = db.query("INSERT INTO form VALUES (?, ?, ?)");
    for (const [name, ids] of changes.setForms ?? [])
      for (const [position, id] of ids.entries()) addForm.run(name, position, id);
    const deleteReference = db.query("DELETE FROM reference WHERE name = ?");
    for (const name of changes.deleteReferences ?? []) {
      deleteReference.run(name);
      deleteForms.run(name);
    }
    const deleteImage = db.query("DELETE FROM image WHERE id = ?");
    const deleteForm = db.query("DELETE FROM form WHERE image_id = ?");
    for (const id of changes.deleteImages ?? []) {
      deleteImage.run(id);
      deleteForm.run(id);
    }
    const deleteLayer = db.query("DELETE FROM layer WHERE key = ?");
    for (const key of changes.deleteLayers ?? []) deleteLayer.run(key);
    const setSynced = db.query("UPDATE snapshot SET boot = NULL WHERE id = ?");
    for (const id of changes.syncedSnapshots ?? []) setSynced.run(id);
  }

  // --- Snapshots ---

  /** Writes like `#write`, but does not wait for the disk: a power cut may take the change, and then takes all later ones. */
  #writeSoon(write: () => void): void {
    this.#db.run("PRAGMA synchronous = NORMAL");
    try {
      writeWithRoom(this.#db, this.#db.transaction(write), () => false);
    } catch (error) {
      if (isDiskFull(error)) throw writeFailure(this.#path, error, "ENOSPC");
      throw error;
    } finally {
      this.#db.run("PRAGMA synchronous = FULL");
    }
  }

  snapshots(): SnapshotRecord[] {
    const rows = this.#db.query("SELECT id, directories, boot FROM snapshot").all();
    return (rows as { id: string; directories: string; boot: string | null }[]).map(({ directories, ...row }) => ({
      ...row,
      directories: JSON.parse(directories) as string[],
    }));
  }

  snapshotLayers(): SnapshotLayerRecord[] {
    const rows = this.#db.query("SELECT * FROM snapshot_layer").all();
    return (rows as { directory: string; root: string | null; size_bytes: number; diff_id: string | null }[]).map(
      ({ directory, root, size_bytes, diff_id }) => ({
        directory,
        root: root === null ? undefined : (JSON.parse(root) as RootAttributes),
        sizeBytes: size_bytes,
        diffId: (diff_id ?? undefined) as DiffId | undefined,
      }),
    );
  }

  addSnapshot(
    { id, directories, boot }: SnapshotRecord,
    layers: readonly SnapshotLayerRecord[],
    nextDirectory: number,
  ): void {
    this.#writeSoon(() => {
      const addLayer = this.#db.query("INSERT OR REPLACE INTO snapshot_layer VALUES (?, ?, ?, ?)");
      for (const { directory, root, sizeBytes, diffId } of layers)
        addLayer.run(directory, root === undefined ? null : JSON.stringify(root), sizeBytes, diffId ?? null);
      this.#db.query("INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?)").run(id, JSON.stringify(directories), boot);
      this.#apply({ nextDirectory });
    });
  }

  /** Writes down a size; on a full disk it is measured anew by the next daemon. */
  setSnapshotLayerSize(directory: string, sizeBytes: number): void {
    const update = this.#db.query("UPDATE snapshot_layer SET size_bytes = ? WHERE directory = ?");
    writeIfRoom(this.#db, () => this.#writeSoon(() => update.run(sizeBytes, directory)));
  }

  removeSnapshots(ids: readonly string[], directories: readonly string[]): void {
    this.#write(() => {
      const removeSnapshot = this.#db.query("DELETE FROM snapshot WHERE id = ?");
      for (const id of ids) removeSnapshot.run(id);
      const removeLayer = this.#db.query("DELETE FROM snapshot_layer WHERE directory = ?");
      for (const directory of directories) removeLayer.run(directory);
    });
  }

  setLastUsed(times: ReadonlyMap<Digest, number>): void {
    const update = this.#db.query("UPDATE image SET last_used_at_ms = ? WHERE id = ?");
    // A last use is not worth the space that is kept for a full disk.
    this.#db.transaction(() => {
      for (const [id, ms] of times) update.run(ms, id);
    })();
  }

  /**
   * Remembers that a repository ("localhost:5000/team/app") has these blobs: other repositories of its registry can mount them.
   */
  addBlobPlaces(digests: readonly Digest[], repository: string): void {
    const insert = this.#db.query("INSERT OR IGNORE INTO blob_place (digest, repository) VALUES (?, ?)");
    this.#write(() => {
      for (const digest of digests) insert.run(digest, repository);
    });
  }

  blobPlaces(digest: Digest): string[] {
    const rows = this.#db.query("SELECT repository FROM blob_place WHERE digest = ?").all(digest);
    return (rows as { repository: string }[]).map(({ repository }) => repository);
  }

  /** Forgets where removed blobs are. */
  deleteBlobPlaces(digests: readonly Digest[]): void {
    const remove = this.#db.query("DELETE FROM blob_place WHERE digest = ?");
    this.#write(() => {
      for (const digest of digests) remove.run(digest);
    });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#copyTimer);
    this.#db.close();
  }
}

/** The errno of an error about a damaged or missing database. */
export const DAMAGED = "SQLITE_CORRUPT";

function openDatabase(path: string, makeRoom: () => boolean, isNew: boolean): Database {
  let db: Database | undefined;
  try {
    db = new Database(path, { create: true });
    beginWal(db, path, "FULL");
    db.run("PRAGMA foreign_keys = ON");
    const opened = db;
    if (!isNew && schemaOf(opened) === 0) throw damaged(path, "it, or its log, was lost");
    writeWithRoom(opened, () => applyMigrations(opened, path, MIGRATIONS), makeRoom);
    checkpoint(db);
    return db;
  } catch (error) {
    db?.close();
    if (errnoOf(error) === "SQLITE_BUSY")
      throw new LighterError("conflict", `open "${path}": another process is using it`, { cause: error });
    if (error instanceof LighterError) throw error;
    if (/^SQLITE_(CORRUPT|NOTADB)/.test(errnoOf(error))) throw damaged(path, messageOf(error));
    throw new LighterError("internal", `open "${path}": ${messageOf(error)}`, { cause: error });
  }
}

function damaged(path: string, why: string): LighterError {
  const hint = "`lighter daemon --recover` takes the copy that is kept beside it";
  return new LighterError("internal", `open "${path}": ${why}`, { errno: DAMAGED, hint });
}
