/** Writes to SQLite databases when the disk is full. */
import { isDiskFull } from "./disk-full.ts";

/** The part of an SQLite database in WAL mode that is used here. */
interface WalDatabase {
  query(sql: string): { get(): unknown };
}

/**
 * Calls `write`, a transaction. When a full disk refuses it, calls it again each time that there is more room. First the log is
 * made to start over: what it holds goes to the database, which seldom has to grow for it, and its own blocks are reused. Then
 * `makeRoom` is called until it returns false.
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

/** Calls `write`, a transaction, for what can be done without: on a full disk it is not done. */
export function writeIfRoom(db: WalDatabase, write: () => void): void {
  try {
    writeWithRoom(db, write, () => false);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
  }
}

/**
 * Moves what the log holds to the database, so that less would be lost with the log; the next write starts it over. Returns false
 * if there is no room.
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
