/** What of the host's links networks need: made of netlink for a daemon, of memory for tests. Synchronous. */
import { LighterError } from "../../base/errors.ts";
import type { InterfaceAddress } from "../../network/types.ts";

/** A bridge as it is to be. */
export interface BridgePlan {
  name: string;
  /** The one whose bridge it is, and whose alone: marks it. Undefined: the host's own, which stays when the network goes. */
  networkId: string | undefined;
  addresses: readonly InterfaceAddress[];
  /** 0: the kernel's. */
  mtu: number;
  enableIPv6: boolean;
}

/** The link of the host that macvlan interfaces are made on. */
export interface ParentPlan {
  /** "eth0", or "eth0.10" for a VLAN, which is made; "": a dummy link is made, which leads nowhere. */
  name: string;
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
  /** Idempotent. @throws LighterError "conflict" if the name is another link's */
  ensureBridge(plan: BridgePlan): HostLink;
  /** Idempotent. @throws LighterError "not-found" if there is no such link to make it of */
  ensureParent(plan: ParentPlan): HostLink;
  /** Undefined: there is none of that name any more. */
  indexOf(name: string): number | undefined;
  /** Removes the links that are marked as the network's. */
  removeLinks(networkId: string): void;
  /** Ids of networks that marked links of this data root belong to. */
  ownersOfLinks(): string[];
}

const notYet = () => {
  throw new LighterError("not-supported", "bridge networks are not available yet");
};

/** Until there is netlink. */
export const noNetworkHost: NetworkHost = {
  usedRanges: () => [],
  ensureBridge: notYet,
  ensureParent: notYet,
  indexOf: () => undefined,
  removeLinks: () => {},
  ownersOfLinks: () => [],
};
