/** Writes rows, also on a full disk. */
import type { Database, SQLQueryBindings, Statement } from "bun:sqlite";
import { isDiskFull, LighterError } from "../../base/errors.ts";
import { CHECKPOINT_MS, LATE_ROWS_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { checkpoint, writeWithRoom } from "../../base/wal.ts";

/**
 * Writes rows, on a full disk too. A row that tells of something that has happened, or ends something, is written later if there
 * is no room: nobody can be told to undo it, and a container that fills the disk must be stopped and removed. Until then memory
 * alone knows. Every write comes after those that are late, so that the rows' order is kept.
 */
export class RowWriter implements Disposable {
  readonly #db: Database;
  readonly #makeRoom: () => boolean;
  readonly #late: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #checkpointTimer: NodeJS.Timeout | undefined;

  constructor(db: Database, makeRoom: () => boolean) {
    this.#db = db;
    this.#makeRoom = makeRoom;
  }

  /** Writes a row. @throws LighterError "kernel" with ENOSPC; then nothing is written. */
  run(statement: Statement, ...values: SQLQueryBindings[]): void {
    if (this.#db.inTransaction) statement.run(...values);
    else this.#write(() => statement.run(...values));
  }

  /** Writes what has happened, or is to end; not within `together`. Returns false if it is not written yet. */
  runOrLater(statement: Statement, ...values: SQLQueryBindings[]): boolean {
    const write = () => void statement.run(...values);
    try {
      this.#write(write);
      return true;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      if (this.#late.length === 0) log.error("the disk is full: what happens is written down when there is room");
      this.#late.push(write);
      this.#flushLater();
      return false;
    }
  }

  /** Runs `write` as one transaction. */
  together(write: () => void): void {
    this.#write(this.#db.transaction(write));
  }

  #write(write: () => void): void {
    try {
      const all = () => {
        this.#flush();
        write();
      };
      writeWithRoom(this.#db, all, this.#makeRoom);
      this.#checkpointLater();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      throw new LighterError("kernel", `write "${this.#db.filename}": no space left on device`, {
        errno: "ENOSPC",
        cause: error,
      });
    }
  }

  #checkpointLater(): void {
    this.#checkpointTimer ??= setTimeout(() => {
      this.#checkpointTimer = undefined;
      checkpoint(this.#db);
    }, CHECKPOINT_MS).unref();
  }

  #flush(): void {
    for (let write = this.#late[0]; write !== undefined; write = this.#late[0]) {
      write();
      this.#late.shift();
    }
  }

  #flushLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#flushNow();
      if (this.#late.length > 0) this.#flushLater();
    }, LATE_ROWS_MS).unref();
  }

  #flushNow(): void {
    try {
      this.#flush();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#checkpointTimer);
    this.#flushNow();
  }
}
