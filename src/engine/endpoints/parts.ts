/** Interfaces to the other parts that endpoints need, each as narrow as it can be: unit tests have theirs in memory. */
import type { PortReservations } from "../../network/ports/mod.ts";
import type { ContainerLink, PortMapping } from "../../network/types.ts";
import type { EndpointAddresses } from "../networks/address-book.ts";
import type { PreparedNetwork } from "../networks/networks.ts";
import type { EndpointWish, NetworkRecord } from "../networks/types.ts";

export interface NetworkPool {
  /** Finds a network. @throws LighterError "not-found" */
  find(ref: string): NetworkRecord;
  /** Makes the links and rules that the network needs on the host. Cheap if they exist. */
  prepare(network: NetworkRecord): PreparedNetwork;
  allocate(network: NetworkRecord, wish: EndpointWish): EndpointAddresses;
  release(network: NetworkRecord, addresses: Pick<EndpointAddresses, "ipv4" | "ipv6">): void;
  claim(network: NetworkRecord, addresses: Pick<EndpointAddresses, "ipv4" | "ipv6">): void;
}

export interface PortFirewall {
  publish(ports: readonly PortMapping[]): void;
  unpublish(ports: readonly PortMapping[]): void;
  setLinks(links: readonly ContainerLink[]): void;
  forgetConnections(addresses: readonly string[]): void;
}

/** The ports of the host. `claim` takes those of a container that ran on while there was no daemon, whoever else has the port. */
export type HostPorts = Pick<PortReservations, "reserve" | "release" | "claim">;
