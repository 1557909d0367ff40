/** Clears what containers that are gone have left in the kernel. */
import { attempt } from "./attempt.ts";

/** The delay is long enough for those who wait for a container's end to hear of it first. */
const DELAY_MS = 5;

interface LeftoversOptions {
  forgetConnections(addresses: readonly string[]): void;
  /** Takes a link off its bridge, if it is there. */
  unplug(hostInterface: string): void;
}

/**
 * Clears what containers that are gone have left in the kernel before anybody else gets their addresses: connections, and
 * interfaces, which go with their network namespace, but answer as long as an open connection keeps that namespace. (An orderly
 * end unplugs the interfaces of the start by itself; not later ones, and not after a supervisor was killed.)
 * The kernel takes up to milliseconds to look for connections, however few there are: so all this is done a moment later, once
 * for all that ended meanwhile; at once only for somebody who needs such an address now.
 */
export class Leftovers implements Disposable {
  readonly #options: LeftoversOptions;
  readonly #addresses = new Set<string>();
  readonly #hostInterfaces = new Set<string>();
  #timer: Timer | undefined;

  constructor(options: LeftoversOptions) {
    this.#options = options;
  }

  add(addresses: readonly string[], hostInterface: string): void {
    for (const address of addresses) this.#addresses.add(address);
    if (hostInterface !== "") this.#hostInterfaces.add(hostInterface);
    if (this.#addresses.size + this.#hostInterfaces.size > 0) this.#timer ??= setTimeout(() => this.#clear(), DELAY_MS);
  }

  /**
   * Clears what these addresses have left: their new owner hears of nobody else's connections, and nobody else answers for them.
   */
  settle(addresses: readonly string[]): void {
    if (addresses.some((address) => this.#addresses.has(address))) this.#clear();
  }

  #clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const addresses = [...this.#addresses];
    const hostInterfaces = [...this.#hostInterfaces];
    this.#addresses.clear();
    this.#hostInterfaces.clear();
    for (const name of hostInterfaces) attempt(`unplug ${name}`, () => this.#options.unplug(name));
    if (addresses.length > 0)
      attempt(`forget connections of ${addresses.join(", ")}`, () => this.#options.forgetConnections(addresses));
  }

  [Symbol.dispose](): void {
    if (this.#timer !== undefined) this.#clear();
  }
}
