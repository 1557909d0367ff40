/** Network links that exist in memory only. */
import { LighterError } from "../../src/base/errors.ts";
import type { BridgePlan, HostLink, NetworkHost, ParentPlan } from "../../src/engine/networks/host.ts";
import type { Families } from "../../src/network/host-settings.ts";
import type { InterfaceAddress } from "../../src/network/types.ts";

interface FakeLink extends HostLink {
  /** The id of the link's network; "" for a link that is not Lighter's. */
  networkId: string;
  addresses: readonly InterfaceAddress[];
}

export class FakeNetworkHost implements NetworkHost {
  readonly links = new Map<string, FakeLink>();
  /** The answer of `usedRanges`. */
  ranges: string[] = [];
  /** The error with which the next creation of a link fails. */
  failsWith: LighterError | undefined;
  #lastIndex = 1;

  usedRanges(): string[] {
    return this.ranges;
  }

  addressesOf(name: string): InterfaceAddress[] | undefined {
    const link = this.links.get(name);
    return link && [...link.addresses];
  }

  ensureBridge({ name, networkId, foreign, addresses, mtu }: BridgePlan): HostLink {
    const found = this.links.get(name);
    if (found?.networkId === "" && foreign === "no") throw new LighterError("conflict", `${name} is none of ours`);
    return found ?? this.#add({ name, networkId, addresses, mtu: mtu || 1500 });
  }

  ensureParent({ name, networkId }: ParentPlan): HostLink {
    return this.links.get(name) ?? this.#add({ name, networkId, addresses: [], mtu: 1500 });
  }

  #add(link: Omit<FakeLink, "index">): HostLink {
    const error = this.failsWith;
    this.failsWith = undefined;
    if (error !== undefined) throw error;
    const added = { ...link, index: ++this.#lastIndex };
    this.links.set(link.name, added);
    return added;
  }

  enableForwarding(): Families {
    return { ipv4: false, ipv6: false };
  }

  indexOf(name: string): number | undefined {
    return this.links.get(name)?.index;
  }

  unplug(): void {}

  forwardWithin(): void {}

  /** Bridges from which 127.0.0.1 is reachable. */
  readonly loopback = new Set<string>();

  routeLoopback(bridge: string, isOn: boolean): void {
    if (isOn) this.loopback.add(bridge);
    else this.loopback.delete(bridge);
  }

  /** The promise that a removal waits for. */
  removing: Promise<void> = Promise.resolve();

  async removeLinks(networkId: string): Promise<void> {
    await this.removing;
    for (const link of [...this.links.values()]) if (link.networkId === networkId) this.links.delete(link.name);
  }

  ownersOfLinks(): string[] {
    return [...this.links.values()].map(({ networkId }) => networkId).filter((id) => id !== "");
  }
}
