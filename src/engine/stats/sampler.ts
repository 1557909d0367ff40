/** Takes samples of one container for all listeners: one timer, while there is a listener. */
const INTERVAL_MS = 1000;

export class Sampler<Sample> {
  readonly #read: () => Sample;
  readonly #listeners = new Set<(sample: Sample) => void>();
  #timer: Timer | undefined;

  constructor(read: () => Sample) {
    this.#read = read;
  }

  /** Adds a listener, which gets a sample at once, if nobody else listens yet, and then one a second, until disposed of. */
  listen(listener: (sample: Sample) => void): Disposable {
    this.#listeners.add(listener);
    if (this.#timer === undefined) {
      this.#timer = setInterval(() => this.#tick(), INTERVAL_MS);
      this.#tick();
    }
    return {
      [Symbol.dispose]: () => {
        this.#listeners.delete(listener);
        if (this.#listeners.size > 0) return;
        clearInterval(this.#timer);
        this.#timer = undefined;
      },
    };
  }

  #tick(): void {
    const sample = this.#read();
    for (const listener of this.#listeners) listener(sample);
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }
}
