/** Limits how much work is done at a time: when all turns are taken, others wait in the order in which they came. */
export class Turns {
  #maxCount: number;
  #takenCount = 0;
  readonly #waiting = new Set<() => void>();

  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  /** Applies from now on; turns that are taken stay taken. */
  set maxCount(count: number) {
    this.#maxCount = count;
    this.#callNext();
  }

  /** Whether somebody who comes now has to wait. */
  get areTaken(): boolean {
    return this.#takenCount >= this.#maxCount;
  }

  /**
   * Resolves when the caller has a turn, which it must give back. @throws `signal`'s reason; then there is no turn to give back.
   */
  async take(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!this.areTaken) {
      this.#takenCount++;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    const onAbort = (): void => {
      if (this.#waiting.delete(resolve)) reject(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort);
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  giveBack(): void {
    this.#takenCount--;
    this.#callNext();
  }

  #callNext(): void {
    for (const resolve of this.#waiting) {
      if (this.areTaken) return;
      this.#waiting.delete(resolve);
      this.#takenCount++;
      resolve();
    }
  }
}
