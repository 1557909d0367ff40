import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";

/** Long enough for those who wait for a container's end to hear of it first. */
const DELAY_MS = 5;

/**
 * Connections of containers that have gone, which the kernel is to forget before anybody else gets their addresses. To look
 * for them costs milliseconds, however few there are: so it is done a moment later, once for all that ended meanwhile; at
 * once only for who needs such an address now.
 */
export class LeftConnections implements Disposable {
  readonly #forget: (addresses: readonly string[]) => void;
  readonly #addresses = new Set<string>();
  #timer: Timer | undefined;

  constructor(forget: (addresses: readonly string[]) => void) {
    this.#forget = forget;
  }

  add(addresses: readonly string[]): void {
    for (const address of addresses) this.#addresses.add(address);
    if (this.#addresses.size > 0) this.#timer ??= setTimeout(() => this.#forgetAll(), DELAY_MS);
  }

  /** Whoever has these addresses from now on hears of nobody else's connections. */
  settle(addresses: readonly string[]): void {
    if (addresses.some((address) => this.#addresses.has(address))) this.#forgetAll();
  }

  #forgetAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const addresses = [...this.#addresses];
    this.#addresses.clear();
    try {
      this.#forget(addresses);
    } catch (error) {
      log.error(`forget connections of ${addresses.join(", ")}: ${messageOf(error)}`);
    }
  }

  [Symbol.dispose](): void {
    if (this.#timer !== undefined) this.#forgetAll();
  }
}
