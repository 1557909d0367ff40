/** What a call sends while it goes on. */

/** Messages to send, as they come. */
export class Outbox implements AsyncIterable<Uint8Array> {
  readonly #waiting: Uint8Array[] = [];
  #changed = Promise.withResolvers<void>();
  #isClosed = false;

  send(message: Uint8Array): void {
    this.#waiting.push(message);
    this.#changed.resolve();
  }

  close(): void {
    this.#isClosed = true;
    this.#changed.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (true) {
      yield* this.#waiting.splice(0);
      if (this.#waiting.length > 0) continue;
      if (this.#isClosed) return;
      this.#changed = Promise.withResolvers();
      await this.#changed.promise;
    }
  }
}
