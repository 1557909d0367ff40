/** Bytes that a synchronous producer gives to an asynchronous taker: the data of one entry of an archive. */
export class Feed implements AsyncIterableIterator<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  #isEnded = false;
  #isLeft = false;
  #wakeTaker = (): void => {};
  #wakeGiver = (): void => {};

  /** The taker's to keep. */
  push(bytes: Uint8Array): void {
    if (this.#isLeft) return;
    this.#chunks.push(bytes);
    this.#wakeTaker();
  }

  end(): void {
    this.#isEnded = true;
    this.#wakeTaker();
  }

  /** Resolves when all that was pushed has been taken and more is wanted, or nothing is any more. */
  async taken(): Promise<void> {
    while (!this.#isLeft && this.#chunks.length > 0) await new Promise<void>((resolve) => (this.#wakeGiver = resolve));
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const value = this.#chunks.shift();
      if (this.#chunks.length === 0) this.#wakeGiver();
      if (value !== undefined) return { done: false, value };
      if (this.#isEnded) return this.return();
      await new Promise<void>((resolve) => (this.#wakeTaker = resolve));
    }
  }

  /** The taker wants no more. */
  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#isLeft = true;
    this.#chunks.length = 0;
    this.#wakeGiver();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
