/**
 * Helpers, each at work or idle. A helper that is done is kept for a while: work comes in bursts, and starting one costs more
 * than keeping it.
 */
export class Pool<Helper extends { kill(): Promise<void> | void }> {
  readonly #idleMs: number;
  readonly #all = new Set<Helper>();
  readonly #idle = new Map<Helper, NodeJS.Timeout>();
  #isClosed = false;

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Adds a new helper, at work. */
  add(helper: Helper): void {
    this.#all.add(helper);
  }

  /** Puts the helper to work that became idle last, or returns undefined if all are at work. */
  take(): Helper | undefined {
    const helper = [...this.#idle.keys()].at(-1);
    if (helper !== undefined) this.#wake(helper);
    return helper;
  }

  /** Makes a helper idle. One that has been discarded, or comes after the end, is only killed. */
  giveBack(helper: Helper): void {
    if (this.#isClosed || !this.#all.has(helper)) {
      void this.discard(helper);
      return;
    }
    this.#idle.set(helper, setTimeout(() => void this.discard(helper), this.#idleMs).unref());
  }

  /** Kills a helper and returns what its `kill` returns. */
  discard(helper: Helper): Promise<void> | void {
    this.#all.delete(helper);
    this.#wake(helper);
    return helper.kill();
  }

  /** Kills all helpers, also those at work. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#all].map((helper) => this.discard(helper)));
  }

  #wake(helper: Helper): void {
    clearTimeout(this.#idle.get(helper));
    this.#idle.delete(helper);
  }
}
