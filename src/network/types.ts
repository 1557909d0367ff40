/** What the parts of this folder and the engine tell one another. Addresses are texts in their shortest form. */

/** An IP address with the length of its network's prefix. */
export interface InterfaceAddress {
  address: string;
  prefixLength: number;
}

/** An address range of a network, with what of it is given away by hand only. */
export interface AddressPool {
  /** "172.18.0.0/16", "fd00:1::/64": masked. */
  subnet: string;
  /** Addresses are taken from here; else from the whole subnet. */
  ipRange?: string;
  gateway: string;
  /** By name, as the user gave them: never given to a container. */
  auxAddresses?: Readonly<Record<string, string>>;
}

/**
 * How a bridge network's addresses of one family are reached: published ports by the host's addresses; those, and every port at
 * its own address; published ports at its own address, which is not translated either when it asks; not at all, as the bridge
 * itself has none.
 */
export type GatewayMode = "nat" | "nat-unprotected" | "routed" | "isolated";

/** What the firewall has to know of a bridge network. */
export interface FirewallNetwork {
  /** The bridge's name. */
  bridge: string;
  /** Of both families. */
  subnets: readonly string[];
  /** Nothing goes in from outside or out. */
  internal: boolean;
  /** Containers of the network reach one another. */
  icc: boolean;
  /** What leaves gets the host's address, or `hostAddress` of its family. */
  masquerade: boolean;
  hostAddresses?: readonly string[];
  /** Else "nat". */
  gatewayModes?: Readonly<{ ipv4: GatewayMode; ipv6: GatewayMode }>;
}

export type TransportProtocol = "tcp" | "udp" | "sctp";

/** A port that one container of a bridge without icc may reach at another of it. Of IPv4, as Docker's links are. */
export interface ContainerLink {
  bridge: string;
  /** Addresses. */
  from: string;
  to: string;
  protocol: TransportProtocol;
  port: number;
}

/** A port of the host that leads to a port of a container. */
export interface PortMapping {
  protocol: TransportProtocol;
  /** "0.0.0.0" and "::" are all the host's addresses of the family, loopback included. */
  hostAddress: string;
  /** 0: none, the container's own address is reached. */
  hostPort: number;
  /** Interfaces of the host from where the container's own address is reached at this port as well. */
  trustedInterfaces?: readonly string[];
  /** The container's, of the same family. */
  address: string;
  port: number;
  /** The bridge that the container is on. */
  bridge: string;
}
