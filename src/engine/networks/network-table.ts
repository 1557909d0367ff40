import type { Database } from "bun:sqlite";
import { writePoint } from "../../base/write-point.ts";
import type { NetworkRecord } from "./types.ts";

/** A migration of the store. What a network is never changes, its pools apart: so its record is one value. */
export const NETWORK_SCHEMA = `CREATE TABLE network (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     record TEXT NOT NULL
   ) STRICT`;

/** The networks' rows. */
export class NetworkTable {
  readonly #statements;

  constructor(db: Database) {
    this.#statements = {
      insert: db.query("INSERT INTO network (id, record) VALUES (?, ?)"),
      update: db.query("UPDATE network SET record = ? WHERE id = ?"),
      delete: db.query("DELETE FROM network WHERE id = ?"),
      all: db.query("SELECT record FROM network ORDER BY seq"),
    };
  }

  /** Oldest first. */
  all(): NetworkRecord[] {
    return (this.#statements.all.all() as { record: string }[]).map(({ record }) => JSON.parse(record));
  }

  insert(record: NetworkRecord): void {
    writePoint("insert network");
    this.#statements.insert.run(record.id, JSON.stringify(record));
    writePoint("inserted network");
  }

  update(record: NetworkRecord): void {
    writePoint("update network");
    this.#statements.update.run(JSON.stringify(record), record.id);
    writePoint("updated network");
  }

  delete(id: string): void {
    writePoint("delete network");
    this.#statements.delete.run(id);
    writePoint("deleted network");
  }
}
