/** A step that is being executed, for all builds that want it at the same time. */

/** Receives what a step says. */
export interface StepListener {
  /** What is said of the step, for people. */
  onNote(text: string): void;
  /** What it prints: 1 is stdout, 2 stderr. */
  onOutput(stream: number, bytes: Uint8Array): void;
}

/** How much of what was said is kept for builds that come later. */
const KEPT_BYTES = 256 * 1024;

export class SharedStep<T> {
  readonly #aborter = new AbortController();
  readonly #listeners = new Set<StepListener>();
  readonly #said: ((listener: StepListener) => void)[] = [];
  #saidBytes = 0;
  #takerCount = 0;
  readonly #result: Promise<T>;

  constructor(execute: (listener: StepListener, signal: AbortSignal) => Promise<T>) {
    const listener: StepListener = {
      onNote: (text) => this.#say(text.length, (each) => each.onNote(text)),
      onOutput: (stream, bytes) => {
        // The bytes are valid during the call only.
        const kept = this.#saidBytes < KEPT_BYTES ? new Uint8Array(bytes) : bytes;
        this.#say(bytes.length, (each) => each.onOutput(stream, kept));
      },
    };
    this.#result = execute(listener, this.#aborter.signal);
    this.#result.catch(() => {}); // the takers hear of it
  }

  #say(byteCount: number, say: (listener: StepListener) => void): void {
    if (this.#saidBytes < KEPT_BYTES) this.#said.push(say);
    this.#saidBytes += byteCount;
    for (const listener of this.#listeners) say(listener);
  }

  /** True if all who wanted it have gone: it is being ended. */
  get isGivenUp(): boolean {
    return this.#aborter.signal.aborted;
  }

  /**
   * Waits for the result, or until `signal` says that this build no longer wants it. The step ends with the last build that wants it,
   * and that one waits for the end.
   */
  async take(listener: StepListener, signal: AbortSignal): Promise<T> {
    this.#takerCount++;
    for (const say of this.#said) say(listener);
    this.#listeners.add(listener);
    const gone = Promise.withResolvers<never>();
    const onAbort = () => gone.reject(signal.reason);
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    try {
      return await Promise.race([this.#result, gone.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#listeners.delete(listener);
      if (--this.#takerCount === 0 && signal.aborted) {
        this.#aborter.abort(signal.reason);
        await this.#result.catch(() => {}); // this build has given it up
      }
    }
  }
}
