/** Rows that tell what URLs have led to, so that a server may say that it is still the same. */
import type { Database } from "bun:sqlite";
import { writeIfRoom } from "../../base/wal.ts";

/** What a server sent under a URL. */
export interface DownloadRow {
  /** The validators of its answer, either of them or both; "" for none. */
  etag: string;
  modified: string;
  digest: string;
}

/** How many URLs are remembered: those that were asked for last. */
const DOWNLOADS_MAX = 1000;

export class DownloadTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  find(url: string): DownloadRow | undefined {
    const row = this.#db.query("SELECT etag, modified, digest FROM download WHERE url = ?").get(url);
    return (row ?? undefined) as DownloadRow | undefined;
  }

  note(url: string, { etag, modified, digest }: DownloadRow): void {
    writeIfRoom(this.#db, () => {
      this.#db
        .query("INSERT OR REPLACE INTO download VALUES (?, ?, ?, ?, ?)")
        .run(url, etag, modified, digest, Date.now());
      this.#db
        .query(
          "DELETE FROM download WHERE url IN (SELECT url FROM download ORDER BY last_used_ms DESC LIMIT -1 OFFSET ?)",
        )
        .run(DOWNLOADS_MAX);
    });
  }
}
