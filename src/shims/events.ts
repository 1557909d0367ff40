/** node:events. */
type Listener = (...args: never[]) => unknown;

export class EventEmitter {
  readonly #listeners = new Map<string, { call: Listener; once: boolean }[]>();

  on(event: string, call: Listener): this {
    this.#add(event, call, false);
    return this;
  }

  once(event: string, call: Listener): this {
    this.#add(event, call, true);
    return this;
  }

  off(event: string, call: Listener): this {
    const left = this.#of(event).filter((each) => each.call !== call);
    this.#listeners.set(event, left);
    return this;
  }

  addListener(event: string, call: Listener): this {
    return this.on(event, call);
  }

  removeListener(event: string, call: Listener): this {
    return this.off(event, call);
  }

  removeAllListeners(event?: string): this {
    if (event === undefined) this.#listeners.clear();
    else this.#listeners.delete(event);
    return this;
  }

  listenerCount(event: string): number {
    return this.#of(event).length;
  }

  /** @throws the error of an "error" that nobody listens to */
  emit(event: string, ...args: unknown[]): boolean {
    const listeners = this.#of(event);
    if (listeners.length === 0 && event === "error") throw args[0];
    for (const each of listeners) {
      if (each.once) this.off(event, each.call);
      (each.call as (...given: unknown[]) => void).apply(this, args);
    }
    return listeners.length > 0;
  }

  #of(event: string): readonly { call: Listener; once: boolean }[] {
    return this.#listeners.get(event) ?? [];
  }

  #add(event: string, call: Listener, once: boolean): void {
    this.#listeners.set(event, [...this.#of(event), { call, once }]);
    this.listening(event);
  }

  /** For those who begin their work when somebody listens. */
  protected listening(_event: string): void {}
}

/** Resolves with the arguments of the next `event`; rejects at an error. */
export function once(emitter: EventEmitter, event: string): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      emitter.off(event, done);
      reject(error);
    };
    const done = (...args: unknown[]) => {
      emitter.off("error", fail);
      resolve(args);
    };
    emitter.once(event, done);
    if (event !== "error") emitter.once("error", fail);
  });
}

export default EventEmitter;
