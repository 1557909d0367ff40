/**
 * Helpers, each at work or idle. One whose work is done is kept for a while: work comes in bursts, and a new helper costs more
 * than one that waits.
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

  /** Takes a new helper in, at work. */
  add(helper: Helper): void {
    this.#all.add(helper);
  }

  /** Puts the helper to work that became idle last; undefined if all are at work. */
  take(): Helper | undefined {
    const helper = [...this.#idle.keys()].at(-1);
    if (helper !== undefined) this.#wake(helper);
    return helper;
  }

  /** Makes a helper idle; one that has been discarded or comes after the end is only killed. */
  giveBack(helper: Helper): void {
    if (this.#isClosed || !this.#all.has(helper)) {
      void this.discard(helper);
      return;
    }
    this.#idle.set(helper, setTimeout(() => void this.discard(helper), this.#idleMs).unref());
  }

  /** Kills a helper, and returns what its `kill` does. */
  discard(helper: Helper): Promise<void> | void {
    this.#all.delete(helper);
    this.#wake(helper);
    return helper.kill();
  }

  /** Kills all helpers, those at work too. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#all].map((helper) => this.discard(helper)));
  }

  #wake(helper: Helper): void {
    clearTimeout(this.#idle.get(helper));
    this.#idle.delete(helper);
  }
}
