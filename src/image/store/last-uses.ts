/** Remembers when images were last used. */
import type { Digest } from "../../base/ids.ts";
import type { ImageDatabase } from "./database.ts";

/** How long a use waits to be written: many are written together, and starting a container must not wait for a disk. */
const DELAY_MS = 10_000;

/** When images were last used. */
export class LastUses {
  readonly #database: ImageDatabase;
  /** Uses that are not written yet. */
  readonly #pending = new Map<Digest, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(database: ImageDatabase) {
    this.#database = database;
  }

  /** Notes a use. It is written a little later. */
  note(id: Digest, atMs: number): void {
    this.#pending.set(id, atMs);
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.write(), DELAY_MS);
    this.#timer.unref();
  }

  write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.size === 0) return;
    try {
      this.#database.setLastUsed(this.#pending);
      this.#pending.clear();
    } catch {} // a full disk: the next use writes it
  }
}
