/** The volumes' rows in the database. */
import type { Database } from "bun:sqlite";
import { writePoint } from "../../base/write-point.ts";
import type { VolumeOptions } from "../../volume/mod.ts";
import type { RowWriter } from "../state/row-writer.ts";

export interface VolumeRecord {
  name: string;
  /** The time of its creation, RFC 3339. */
  createdAt: string;
  /** The labels; null, as Docker shows it, if none were given. */
  labels: Readonly<Record<string, string>> | null;
  options: VolumeOptions | null;
}

interface Row {
  name: string;
  created_at: string;
  labels: string;
  options: string;
  removing: number;
}

/** A migration of the store. "removing": the volume is gone for clients, its directory is still to be moved away. */
export const VOLUME_SCHEMA = `CREATE TABLE volume (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     name TEXT NOT NULL UNIQUE,
     created_at TEXT NOT NULL,
     labels TEXT NOT NULL,
     options TEXT NOT NULL,
     removing INTEGER NOT NULL DEFAULT 0
   ) STRICT`;

/** The volumes' rows. */
export class VolumeTable {
  readonly #rows: RowWriter;
  readonly #statements;

  constructor(db: Database, rows: RowWriter) {
    this.#rows = rows;
    this.#statements = {
      insert: db.query("INSERT INTO volume (name, created_at, labels, options) VALUES (?, ?, ?, ?)"),
      removing: db.query("UPDATE volume SET removing = 1 WHERE name = ?"),
      delete: db.query("DELETE FROM volume WHERE name = ?"),
      all: db.query("SELECT * FROM volume ORDER BY seq"),
    };
  }

  /** Runs `write` as one transaction. */
  together(write: () => void): void {
    this.#rows.together(write);
  }

  /** Returns all volumes, oldest first. */
  all(): { record: VolumeRecord; removing: boolean }[] {
    return (this.#statements.all.all() as Row[]).map((row) => ({
      record: {
        name: row.name,
        createdAt: row.created_at,
        labels: JSON.parse(row.labels),
        options: JSON.parse(row.options),
      },
      removing: row.removing !== 0,
    }));
  }

  insert({ name, createdAt, labels, options }: VolumeRecord): void {
    writePoint("insert volume");
    this.#rows.run(this.#statements.insert, name, createdAt, JSON.stringify(labels), JSON.stringify(options));
    writePoint("inserted volume");
  }

  setRemoving(name: string): void {
    writePoint("set volume removing");
    this.#rows.runOrLater(this.#statements.removing, name);
    writePoint("was set volume removing");
  }

  delete(name: string): void {
    writePoint("delete volume");
    this.#rows.runOrLater(this.#statements.delete, name);
    writePoint("deleted volume");
  }
}
