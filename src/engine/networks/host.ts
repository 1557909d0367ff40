/** What of the host's links networks need: made of netlink for a daemon, of memory for tests. */
import { LighterError } from "../../base/errors.ts";
import type { Families } from "../../network/host-settings.ts";
import type { InterfaceAddress } from "../../network/types.ts";

/** A bridge as it is to be. */
export interface BridgePlan {
  name: string;
  /** Marks a bridge that is made: it goes with the network. */
  networkId: string;
  /** Whether somebody else's of that name, which stays as it is and where it is, will do. */
  foreign: "no" | "yes" | "only";
  addresses: readonly InterfaceAddress[];
  /** 0: the kernel's. */
  mtu: number;
  enableIPv6: boolean;
  /** 127.0.0.1 of the host leads to its containers: a port of one is published there. */
  loopback: boolean;
}

/** The link of the host that macvlan and ipvlan interfaces are made on. */
export interface ParentPlan {
  /** "eth0", or "eth0.10" for a VLAN, which is made. */
  name: string;
  /** It is made, and leads nowhere. */
  isDummy: boolean;
  networkId: string;
}

export interface HostLink {
  index: number;
  name: string;
  mtu: number;
}

export interface NetworkHost {
  /** Address ranges that the host has addresses in or routes to. "10.0.0.0/8"; without default routes. */
  usedRanges(): string[];
  /** Of a link; undefined: there is none of that name. */
  addressesOf(name: string): InterfaceAddress[] | undefined;
  /** Idempotent. @throws LighterError if the name is another link's */
  ensureBridge(plan: BridgePlan): HostLink;
  /** Idempotent. @throws LighterError if there is nothing to make it of */
  ensureParent(plan: ParentPlan): HostLink;
  /**
   * Has the host forward packets of the families. Returns those in which it did not before we came, between whose other
   * interfaces it is still not to.
   */
  enableForwarding(families: Families): Families;
  /** Containers of a bridge without icc may, or may not, get to one another by way of the host, if the firewall lets them. */
  forwardWithin(bridge: string, isOn: boolean): void;
  /** 127.0.0.1 of the host leads, or does not lead, to containers of a bridge; one that is not ours stays as it is. */
  routeLoopback(bridge: string, isOn: boolean): void;
  /** Undefined: there is none of that name any more. */
  indexOf(name: string): number | undefined;
  /** Takes a link off its bridge. What is not there, is off. */
  unplug(name: string): void;
  /** Removes the links that are marked as the network's. The one thing that others need not wait for: it takes 30 ms. */
  removeLinks(networkId: string): Promise<void>;
  /** Ids of networks that marked links of this data root belong to. */
  ownersOfLinks(): string[];
}

export function noForeignBridge(name: string): LighterError {
  return new LighterError("invalid", `bridge device with non default name ${name} must be created manually`);
}
