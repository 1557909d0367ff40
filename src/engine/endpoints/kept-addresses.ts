/** The addresses of machines that reboot: nobody else gets them between the end and the start. */
import type { EndpointState, EndpointWish } from "../networks/types.ts";

export class KeptAddresses {
  /** The kept states, by container, then by network. */
  readonly #states = new Map<string, Map<string, EndpointState>>();
  readonly #release: (networkId: string, state: EndpointState) => void;

  constructor(release: (networkId: string, state: EndpointState) => void) {
    this.#release = release;
  }

  keep(containerId: string, networkId: string, state: EndpointState): void {
    const ofContainer = this.#states.get(containerId) ?? new Map<string, EndpointState>();
    this.#states.set(containerId, ofContainer.set(networkId, state));
  }

  /** Gives a kept address back, to be taken at once by whoever has this wish. Addresses that the wish names stay. */
  wishFor(containerId: string, networkId: string, wish: EndpointWish): EndpointWish {
    const state = this.#states.get(containerId)?.get(networkId);
    if (state === undefined) return wish;
    this.#states.get(containerId)!.delete(networkId);
    this.#release(networkId, state);
    const { ipv4, ipv6 } = state;
    return { ...(ipv4 && { ipv4Address: ipv4.address }), ...(ipv6 && { ipv6Address: ipv6.address }), ...wish };
  }

  /** Forgets the addresses of a container that will not come back to them. */
  forget(containerId: string): void {
    for (const [networkId, state] of this.#states.get(containerId) ?? []) this.#release(networkId, state);
    this.#states.delete(containerId);
  }
}
