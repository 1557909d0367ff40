/**
 * A client that is to see all of a run attaches and waits before it starts the container: three requests, each sent when
 * the one before is answered. One that sends them at once gives them a name in common, and the start waits here until
 * the other two have begun.
 */

/** Names that nobody ever starts by are a client's mistake. */
const MAX_NAMES = 16;
/** The attach and the wait. */
const COMPANIONS = 2;

interface Group {
  begun: number;
  readonly complete: PromiseWithResolvers<void>;
}

export class Companions {
  readonly #groups = new Map<string, Group>();

  /** An attach, or a wait, of this name has begun. */
  begin(name: string): void {
    const group = this.#group(name);
    if (group === undefined) return;
    group.begun++;
    if (group.begun === COMPANIONS) group.complete.resolve();
  }

  /** Resolves when both have begun. Rejects with the signal's reason. */
  async both(name: string, signal: AbortSignal): Promise<void> {
    const group = this.#group(name);
    if (group === undefined) return;
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort);
    try {
      await Promise.race([group.complete.promise, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
      this.#groups.delete(name);
    }
  }

  #group(name: string): Group | undefined {
    let group = this.#groups.get(name);
    if (group === undefined && this.#groups.size < MAX_NAMES) {
      group = { begun: 0, complete: Promise.withResolvers() };
      this.#groups.set(name, group);
    }
    return group;
  }
}
