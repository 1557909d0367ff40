import { isDiskFull } from "./disk-full.ts";

/** A database of SQLite in WAL mode, as far as is used here. */
interface WalDatabase {
  query(sql: string): { get(): unknown };
}

/**
 * Calls `write`, a transaction, and again each time that there is more room after a full disk has refused it. First the log is made to
 * begin anew: what it holds goes to the database, which it seldom has to grow for, and its own blocks are written over.
 * Then `makeRoom` is asked, until it says that there is none to be made.
 */
export function writeWithRoom<T>(db: WalDatabase, write: () => T, makeRoom: () => boolean): T {
  for (let attempt = 0; ; attempt++)
    try {
      return write();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      if (!(attempt === 0 && checkpoint(db)) && !makeRoom()) throw error;
    }
}

/**
 * What the log holds goes to the database: who loses the log loses the less, and the next write begins it anew. False: there is no
 * room for it.
 */
export function checkpoint(db: WalDatabase): boolean {
  try {
    const { log, checkpointed } = db.query("PRAGMA wal_checkpoint(RESTART)").get() as Record<string, number>;
    return log === checkpointed;
  } catch (error) {
    if (isDiskFull(error)) return false;
    throw error;
  }
}
