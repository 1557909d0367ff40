/** The host's links as networks need them: by netlink in a daemon, in memory in tests. */
import { LighterError } from "../../base/errors.ts";
import type { Families } from "../../network/host-settings.ts";
import type { InterfaceAddress } from "../../network/types.ts";

/** The properties that a bridge is to have. */
export interface BridgePlan {
  name: string;
  /** The id that marks a bridge when it is made: it goes with the network. */
  networkId: string;
  /** Whether a bridge of that name that somebody else has made will do; it stays as it is and where it is. */
  foreign: "no" | "yes" | "only";
  addresses: readonly InterfaceAddress[];
  /** The MTU; 0: the kernel's default. */
  mtu: number;
  enableIPv6: boolean;
  /** True if 127.0.0.1 of the host leads to its containers: a port of one is published there. */
  loopback: boolean;
}

/** The link of the host on which macvlan and ipvlan interfaces are made. */
export interface ParentPlan {
  /** The name: "eth0", or "eth0.10" for a VLAN, which is made. */
  name: string;
  /** True if the link is made and leads nowhere. */
  isDummy: boolean;
  networkId: string;
}

export interface HostLink {
  index: number;
  name: string;
  mtu: number;
}

export interface NetworkHost {
  /** Lists the address ranges that the host has addresses in or routes to: "10.0.0.0/8"; without default routes. */
  usedRanges(): string[];
  /** Returns the addresses of a link, or undefined if no link has that name. */
  addressesOf(name: string): InterfaceAddress[] | undefined;
  /** Makes a bridge unless it exists. @throws LighterError if the name is another link's */
  ensureBridge(plan: BridgePlan): HostLink;
  /** Makes a parent unless it exists. @throws LighterError if there is nothing to make it from */
  ensureParent(plan: ParentPlan): HostLink;
  /**
   * Makes the host forward packets of the families. Returns those that it did not forward before; between its other interfaces it
   * must still not forward them.
   */
  enableForwarding(families: Families): Families;
  /** Lets containers of a bridge without icc reach one another by way of the host, as far as the firewall lets them, or not. */
  forwardWithin(bridge: string, isOn: boolean): void;
  /** Makes 127.0.0.1 of the host lead to containers of a bridge, or not; a bridge that is not ours stays as it is. */
  routeLoopback(bridge: string, isOn: boolean): void;
  /** Returns the link's index, or undefined if no link has that name any more. */
  indexOf(name: string): number | undefined;
  /** Takes a link off its bridge, if it is there. */
  unplug(name: string): void;
  /** Removes the links that are marked as the network's. This takes 30 ms, and others need not wait for it. */
  removeLinks(networkId: string): Promise<void>;
  /** Returns the ids of networks that marked links of this data root belong to. */
  ownersOfLinks(): string[];
}

export function noForeignBridge(name: string): LighterError {
  return new LighterError("invalid", `bridge device with non default name ${name} must be created manually`);
}
