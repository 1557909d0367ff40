/** node:events. */
export type EventMap = Record<string, unknown[]>;
/** What the listeners of an event without arguments may be given: a function that resolves a promise is one. */
export type None = [nothing?: undefined];
type Call = (...args: never[]) => unknown;

/** Whose events `Events` names, each with the arguments of its listeners. */
export class EventEmitter<Events extends EventMap = EventMap> {
  readonly #listeners = new Map<string, { call: Call; once: boolean }[]>();

  on<Name extends keyof Events & string>(event: Name, call: (...args: Events[Name]) => unknown): this {
    this.#add(event, call, false);
    return this;
  }

  once<Name extends keyof Events & string>(event: Name, call: (...args: Events[Name]) => unknown): this {
    this.#add(event, call, true);
    return this;
  }

  off<Name extends keyof Events & string>(event: Name, call: (...args: Events[Name]) => unknown): this {
    this.#remove(event, call);
    return this;
  }

  listenerCount(event: keyof Events & string): number {
    return this.#of(event).length;
  }

  /** @throws the error of an "error" that nobody listens to */
  emit(event: string, ...args: unknown[]): boolean {
    const listeners = this.#of(event);
    if (listeners.length === 0 && event === "error") throw args[0];
    for (const each of listeners) {
      if (each.once) this.#remove(event, each.call);
      (each.call as (...given: unknown[]) => void).apply(this, args);
    }
    return listeners.length > 0;
  }

  #of(event: string): readonly { call: Call; once: boolean }[] {
    return this.#listeners.get(event) ?? [];
  }

  #add(event: string, call: Call, once: boolean): void {
    this.#listeners.set(event, [...this.#of(event), { call, once }]);
    this.listenersChanged();
  }

  #remove(event: string, call: Call): void {
    this.#listeners.set(
      event,
      this.#of(event).filter((each) => each.call !== call),
    );
    this.listenersChanged();
  }

  /** For those who work only while somebody listens. */
  protected listenersChanged(): void {}
}

/** Resolves with the arguments of the next `event`; rejects at an error. */
export function once<Events extends EventMap & { error: [Error] }, Name extends keyof Events & string>(
  emitter: EventEmitter<Events>,
  event: Name,
): Promise<Events[Name]> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      emitter.off(event, done);
      reject(error);
    };
    const done = (...args: Events[Name]) => {
      emitter.off("error", fail);
      resolve(args);
    };
    emitter.once(event, done);
    if (event !== "error") emitter.once("error", fail);
  });
}
