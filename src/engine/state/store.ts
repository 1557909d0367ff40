/** The engine's database. */
import { Database, type SQLQueryBindings, type Statement } from "bun:sqlite";
import { errnoOf, isDiskFull, LighterError, messageOf } from "../../base/errors.ts";
import { applyMigrations } from "../../base/migrations.ts";
import { beginWal, checkpoint, writeWithRoom } from "../../base/wal.ts";
import { writePoint } from "../../base/write-point.ts";
import { NETWORK_SCHEMA, NetworkTable } from "../networks/network-table.ts";
import { VOLUME_SCHEMA, VolumeTable } from "../volumes/volume-table.ts";
import { decodeRow, encodeFields, nameOfChange, type Row } from "./columns.ts";
import type { ContainerRecord, RecordPatch } from "./record.ts";
import { RowWriter } from "./row-writer.ts";

/** The migrations, one a schema version, in order; `user_version` counts the ones applied. Append only. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE container (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     name TEXT UNIQUE,
     status TEXT NOT NULL CHECK (status IN ('created', 'running', 'exited', 'removing')),
     created_at TEXT NOT NULL,
     image TEXT NOT NULL,
     image_id TEXT NOT NULL,
     config TEXT NOT NULL,
     host_config TEXT NOT NULL,
     mount_points TEXT NOT NULL,
     pid INTEGER NOT NULL,
     exit_code INTEGER NOT NULL,
     error TEXT NOT NULL,
     oom_killed INTEGER NOT NULL,
     started_at TEXT NOT NULL,
     finished_at TEXT NOT NULL,
     restart_count INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;`,
  "ALTER TABLE container ADD COLUMN remove_volumes INTEGER NOT NULL DEFAULT 0",
  `ALTER TABLE container ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE container ADD COLUMN manually_stopped INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE container ADD COLUMN health TEXT;`,
  VOLUME_SCHEMA,
  NETWORK_SCHEMA,
  "ALTER TABLE container ADD COLUMN id_mappings TEXT",
  "ALTER TABLE container ADD COLUMN networking TEXT",
  "ALTER TABLE container ADD COLUMN machine_end TEXT",
  "ALTER TABLE container ADD COLUMN pod TEXT",
  "ALTER TABLE container ADD COLUMN in_scope INTEGER NOT NULL DEFAULT 0",
];

/**
 * The engine's database: one row a container, one a volume, one a network. Memory is a cache of it; every change goes here first.
 * WAL with synchronous=NORMAL: a killed daemon loses nothing, a power cut may lose the last moments but never tears.
 * Locked exclusively while open, which also spares the shared-memory file and its locks on every transaction.
 */
export class Store implements Disposable {
  readonly volumes: VolumeTable;
  readonly networks: NetworkTable;
  readonly #db: Database;
  readonly #rows: RowWriter;
  readonly #statements;
  readonly #prepareds = new Map<string, Statement>();

  /**
   * Opens the database. `makeRoom`: what can be done about a full disk; it returns false if that is nothing.
   * @throws LighterError "conflict" if another process has it open, "not-supported" if a newer Lighter wrote it.
   */
  constructor(path: string, makeRoom: () => boolean = () => false) {
    this.#db = openDatabase(path, makeRoom);
    this.#rows = new RowWriter(this.#db, makeRoom);
    this.volumes = new VolumeTable(this.#db, this.#rows);
    this.networks = new NetworkTable(this.#db, this.#rows);
    const prepare = (sql: string) => this.#db.query(sql);
    this.#statements = {
      delete: prepare("DELETE FROM container WHERE id = ?"),
      all: prepare("SELECT * FROM container ORDER BY seq"),
      getSetting: prepare("SELECT value FROM setting WHERE key = ?"),
      setSetting: prepare("INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)"),
    };
  }

  /** Returns all containers, oldest first. */
  all(): ContainerRecord[] {
    return (this.#statements.all.all() as Row[]).map(decodeRow);
  }

  insert(record: ContainerRecord): void {
    const { columns, values } = encodeFields(record);
    writePoint("insert container");
    this.#rows.run(
      this.#prepared(`INSERT INTO container (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`),
      ...values,
    );
    writePoint("inserted container");
  }

  /** Changes a row. @throws LighterError "kernel" with ENOSPC; then nothing is written */
  update(id: string, patch: RecordPatch): void {
    this.#update(id, patch, (statement, values) => this.#rows.run(statement, ...values));
  }

  /** Changes a row, for what has happened or is to end; returns false if it is not written yet. */
  updateOrLater(id: string, patch: RecordPatch): boolean {
    return this.#update(id, patch, (statement, values) => this.#rows.runOrLater(statement, ...values));
  }

  #update<T>(id: string, patch: RecordPatch, run: (statement: Statement, values: SQLQueryBindings[]) => T): T {
    const { columns, values } = encodeFields(patch);
    const name = nameOfChange(patch);
    const assignments = columns.map((column) => `${column} = ?`).join(", ");
    writePoint(`set ${name}`);
    const result = run(this.#prepared(`UPDATE container SET ${assignments} WHERE id = ?`), [...values, id]);
    writePoint(`was set ${name}`);
    return result;
  }

  /** Prepares a statement, one for each set of columns. */
  #prepared(sql: string): Statement {
    const known = this.#prepareds.get(sql) ?? this.#db.query(sql);
    this.#prepareds.set(sql, known);
    return known;
  }

  delete(id: string): void {
    writePoint("delete container");
    this.#rows.runOrLater(this.#statements.delete, id);
    writePoint("deleted container");
  }

  setting(key: string): string | undefined {
    return (this.#statements.getSetting.get(key) as { value: string } | null)?.value;
  }

  setSetting(key: string, value: string): void {
    this.#rows.run(this.#statements.setSetting, key, value);
  }

  [Symbol.dispose](): void {
    this.#rows[Symbol.dispose]();
    this.#db.close();
  }
}

function openDatabase(path: string, makeRoom: () => boolean): Database {
  let db: Database;
  try {
    db = new Database(path, { create: true });
    beginWal(db, path, "NORMAL");
    writeWithRoom(db, () => migrate(db, path), makeRoom);
    checkpoint(db);
  } catch (error) {
    if (errnoOf(error) === "SQLITE_BUSY")
      throw new LighterError("conflict", `open "${path}": another daemon is using it`, {
        hint: "choose another --data-root",
        cause: error,
      });
    if (error instanceof LighterError) throw error;
    throw new LighterError("internal", `open "${path}": ${messageOf(error)}`, { cause: error });
  }
  return db;
}

function migrate(db: Database, path: string): void {
  applyMigrations(db, path, MIGRATIONS);
  // A second daemon must fail here, not at its first container. The lock is taken all the same if there is no room to write.
  try {
    db.run(`PRAGMA user_version = ${MIGRATIONS.length}`);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
  }
}
