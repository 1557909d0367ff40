/** Passes bytes from a synchronous producer to an asynchronous consumer: the data of one entry of an archive. */
export class Feed implements AsyncIterableIterator<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  #isEnded = false;
  #isLeft = false;
  /** True if the consumer has asked for more, so it is done with all that it had. */
  #isStarved = false;
  #wakeTaker = (): void => {};
  #wakeGiver = (): void => {};

  /** Adds bytes, which must stay valid until `taken` resolves. */
  push(bytes: Uint8Array): void {
    if (this.#isLeft) return;
    this.#chunks.push(bytes);
    this.#isStarved = false;
    this.#wakeTaker();
  }

  end(): void {
    this.#isEnded = true;
    this.#wakeTaker();
  }

  /** Resolves when all bytes have been consumed and more are wanted, or none are any more. */
  async taken(): Promise<void> {
    while (!this.#isLeft && !this.#isStarved) await new Promise<void>((resolve) => (this.#wakeGiver = resolve));
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const value = this.#chunks.shift();
      if (value !== undefined) return { done: false, value };
      if (this.#isEnded) return this.return();
      this.#isStarved = true;
      this.#wakeGiver();
      await new Promise<void>((resolve) => (this.#wakeTaker = resolve));
    }
  }

  /** Called when the consumer wants no more. */
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
