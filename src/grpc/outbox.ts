/** What a call sends while it goes on. */

/** Messages to send, as they come. */
export class Outbox implements AsyncIterable<Uint8Array> {
  readonly #waiting: Uint8Array[] = [];
  #changed = Promise.withResolvers<void>();
  #took = Promise.withResolvers<void>();
  #isClosed = false;
  #isAbandoned = false;
  #failure: { error: unknown } | undefined;

  send(message: Uint8Array): void {
    this.#waiting.push(message);
    this.#changed.resolve();
  }

  close(): void {
    this.#isClosed = true;
    this.#changed.resolve();
  }

  /** Ends with an error, after what has been sent. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.close();
  }

  /** Resolves when all that was sent is on its way, or nobody takes it any more: for who could send without an end. */
  async taken(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isAbandoned) await this.#took.promise;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      while (true) {
        const messages = this.#waiting.splice(0);
        this.#letGo();
        yield* messages;
        if (this.#waiting.length > 0) continue;
        if (this.#failure !== undefined) throw this.#failure.error;
        if (this.#isClosed) return;
        this.#changed = Promise.withResolvers();
        await this.#changed.promise;
      }
    } finally {
      this.#isAbandoned = true;
      this.#letGo();
    }
  }

  #letGo(): void {
    this.#took.resolve();
    this.#took = Promise.withResolvers();
  }
}
