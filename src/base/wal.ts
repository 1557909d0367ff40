/** SQLite databases in WAL mode, which are written even when the disk is full. */

import { chmodSync } from "node:fs";
import { isDiskFull } from "./errors.ts";

/** The part of an SQLite database in WAL mode that is used here. */
interface WalDatabase {
  run(sql: string): unknown;
  query(sql: string): { get(): unknown };
}

/** Sets up a database that was just opened. `synchronous`: whether a power cut may take the last writes ("NORMAL"). */
export function beginWal(db: WalDatabase, path: string, synchronous: "NORMAL" | "FULL"): void {
  chmodSync(path, 0o600); // rows hold secrets, such as environments of containers
  // Must precede journal_mode: WAL then keeps its index in our memory, not in a shared file for which a full disk has no room.
  db.run("PRAGMA locking_mode = EXCLUSIVE");
  db.run("PRAGMA journal_mode = WAL");
  db.run(`PRAGMA synchronous = ${synchronous}`);
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
