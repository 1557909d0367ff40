/** Reserves room for rows on a full disk. */
import { randomBytes } from "node:crypto";
import { closeSync, fstatSync, ftruncateSync, openSync, statfsSync, writeSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import { RESERVE_BYTES, RESERVE_PIECE_BYTES, RESERVE_REFILL_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";

/**
 * A file that takes up room, so that a full disk has room for a row all the same. It is given up piece by piece: whoever has
 * filled the disk may take what is left of a piece. It is filled when there is room.
 */
export class Reserve implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, "a", 0o600);
    this.#refill();
  }

  /** Gives a piece up; returns false if there is none left. */
  release(): boolean {
    const { size } = fstatSync(this.#fd);
    if (size === RESERVE_BYTES) log.warn(`the disk of "${this.#path}" is full: its reserve is being used`);
    this.#refillLater();
    if (size === 0) return false;
    ftruncateSync(this.#fd, Math.max(0, size - RESERVE_PIECE_BYTES));
    return true;
  }

  #refillLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#refill();
    }, RESERVE_REFILL_MS).unref();
  }

  /** Fills the file, but not with the last of the room, which others may need more. */
  #refill(): void {
    const missing = RESERVE_BYTES - fstatSync(this.#fd).size;
    if (missing <= 0) return;
    const { bavail, bsize } = statfsSync(this.#path);
    const isRoomy = bavail * bsize >= 2 * RESERVE_BYTES;
    try {
      if (isRoomy)
        writeSync(this.#fd, randomBytes(missing)); // a file system that compresses would make nothing of zeros
      else this.#refillLater();
    } catch (error) {
      log.warn(`fill the reserve "${this.#path}": ${messageOf(error)}`);
      this.#refillLater();
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    closeSync(this.#fd);
  }
}
