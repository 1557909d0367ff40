/** Work of which so many are done at a time: who comes when that many are at it waits, in the order they came. */
export class Turns {
  #maxCount: number;
  #takenCount = 0;
  readonly #waiting = new Set<() => void>();

  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  /** From now on; what has a turn keeps it. */
  set maxCount(count: number) {
    this.#maxCount = count;
    this.#callNext();
  }

  /** Who comes now has to wait. */
  get areTaken(): boolean {
    return this.#takenCount >= this.#maxCount;
  }

  /** Resolves when the turn is the caller's, who gives it back. @throws `signal`'s reason: there is no turn to be given back then. */
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
