/** The networks' rows in the database. */
import type { Database } from "bun:sqlite";
import { writePoint } from "../../base/write-point.ts";
import type { RowWriter } from "../state/row-writer.ts";
import type { NetworkRecord } from "./types.ts";

/** A migration of the store. A network never changes, apart from its pools: so its record is one value. */
export const NETWORK_SCHEMA = `CREATE TABLE network (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     record TEXT NOT NULL
   ) STRICT`;

/** The networks' rows. */
export class NetworkTable {
  readonly #rows: RowWriter;
  readonly #statements;

  constructor(db: Database, rows: RowWriter) {
    this.#rows = rows;
    this.#statements = {
      insert: db.query("INSERT INTO network (id, record) VALUES (?, ?)"),
      update: db.query("UPDATE network SET record = ? WHERE id = ?"),
      delete: db.query("DELETE FROM network WHERE id = ?"),
      all: db.query("SELECT record FROM network ORDER BY seq"),
    };
  }

  /** Returns all networks, oldest first. */
  all(): NetworkRecord[] {
    return (this.#statements.all.all() as { record: string }[]).map(({ record }) => JSON.parse(record));
  }

  insert(record: NetworkRecord): void {
    writePoint("insert network");
    this.#rows.run(this.#statements.insert, record.id, JSON.stringify(record));
    writePoint("inserted network");
  }

  update(record: NetworkRecord): void {
    writePoint("update network");
    this.#rows.runOrLater(this.#statements.update, JSON.stringify(record), record.id);
    writePoint("updated network");
  }

  delete(id: string): void {
    writePoint("delete network");
    this.#rows.runOrLater(this.#statements.delete, id);
    writePoint("deleted network");
  }
}
