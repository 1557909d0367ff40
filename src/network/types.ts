/** Values that the parts of this folder and the engine exchange. Addresses are texts in their shortest form. */

/** An IP address with the length of its network's prefix. */
export interface InterfaceAddress {
  address: string;
  prefixLength: number;
}

/** An address range of a network, with the addresses in it that are only given out by hand. */
export interface AddressPool {
  /** The subnet without host bits: "172.18.0.0/16", "fd00:1::/64". */
  subnet: string;
  /** The range from which addresses are taken; by default the whole subnet. */
  ipRange?: string;
  gateway: string;
  /** Addresses by name, as the user gave them: never given to a container. */
  auxAddresses?: Readonly<Record<string, string>>;
}

/**
 * How the addresses of one family in a bridge network can be reached.
 * - nat: published ports, by the host's addresses
 * - nat-unprotected: those, and every port at its container's own address
 * - routed: published ports at the container's own address, which is not translated when the container connects out either
 * - isolated: not at all, since the bridge itself has no address
 */
export type GatewayMode = "nat" | "nat-unprotected" | "routed" | "isolated";

/** The facts about a bridge network that the firewall needs. */
export interface FirewallNetwork {
  /** The bridge's name. */
  bridge: string;
  /** The subnets of both families. */
  subnets: readonly string[];
  /** True if nothing may go in from outside or out. */
  internal: boolean;
  /** True if containers of the network reach each other. */
  icc: boolean;
  /** True if packets that leave get the host's address, or `hostAddress` of their family. */
  masquerade: boolean;
  hostAddresses?: readonly string[];
  /** "nat" by default. */
  gatewayModes?: Readonly<{ ipv4: GatewayMode; ipv6: GatewayMode }>;
}

export type TransportProtocol = "tcp" | "udp" | "sctp";

/** A port of one container that another on the same bridge without icc may reach. IPv4 only, like Docker's links. */
export interface ContainerLink {
  bridge: string;
  /** The two containers' addresses. */
  from: string;
  to: string;
  protocol: TransportProtocol;
  port: number;
}

/** A port of the host that leads to a port of a container. */
export interface PortMapping {
  protocol: TransportProtocol;
  /** An address of the host; "0.0.0.0" and "::" stand for all of the family, loopback included. */
  hostAddress: string;
  /** 0 if there is none: the container's own address is used. */
  hostPort: number;
  /** Interfaces of the host from which this port can be reached at the container's own address as well. */
  trustedInterfaces?: readonly string[];
  /** The container's address, of the same family. */
  address: string;
  port: number;
  /** The bridge that the container is on. */
  bridge: string;
}
