/** Rows that tell which directories caches of `RUN --mount` have. */
import type { Database } from "bun:sqlite";
import { writeIfRoom } from "../../base/wal.ts";

export interface CacheMountRow {
  /** Its name. */
  directory: string;
  /** The name that Dockerfiles have for it. */
  id: string;
  size_bytes: number;
  created_ms: number;
  last_used_ms: number;
  usage_count: number;
}

export class CacheMountTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** The directories, oldest first. */
  all(): CacheMountRow[] {
    return this.#db.query("SELECT * FROM cache_mount ORDER BY created_ms, directory").all() as CacheMountRow[];
  }

  add(directory: string, id: string): void {
    const now = Date.now();
    this.#db.query("INSERT INTO cache_mount VALUES (?, ?, 0, ?, ?, 0)").run(directory, id, now, now);
  }

  noteUse(directory: string): void {
    writeIfRoom(this.#db, () =>
      this.#db
        .query("UPDATE cache_mount SET last_used_ms = ?, usage_count = usage_count + 1 WHERE directory = ?")
        .run(Date.now(), directory),
    );
  }

  setSize(directory: string, bytes: number): void {
    writeIfRoom(this.#db, () =>
      this.#db.query("UPDATE cache_mount SET size_bytes = ? WHERE directory = ?").run(bytes, directory),
    );
  }

  delete(directory: string): void {
    writeIfRoom(this.#db, () => this.#db.query("DELETE FROM cache_mount WHERE directory = ?").run(directory));
  }
}
