/** Values that networks, endpoints and the store exchange. */
import type { AddressPool, InterfaceAddress, PortMapping } from "../../network/types.ts";

/** The drivers, sorted by name. */
export const NETWORK_DRIVERS = ["bridge", "host", "ipvlan", "macvlan", "null"] as const;
export type NetworkDriver = (typeof NETWORK_DRIVERS)[number];

/** An address range as a user asked for it. */
export interface GivenPool {
  subnet: string;
  ipRange?: string;
  gateway?: string;
  auxAddresses?: Readonly<Record<string, string>>;
}

/** A network, as its row has it. */
export interface NetworkRecord {
  id: string;
  name: string;
  driver: NetworkDriver;
  /** The time of its creation, RFC 3339. */
  createdAt: string;
  enableIPv4: boolean;
  enableIPv6: boolean;
  internal: boolean;
  attachable: boolean;
  /** True if nobody is ever in the network: it is only a configuration from which others are made. */
  configOnly?: boolean;
  /** The name of the configuration that this network is made from. */
  configFrom?: string;
  /**
   * The pools; a bridge has at most one a family. Empty on networks without addresses, and on the default one until it is looked
   * at.
   */
  pools: readonly AddressPool[];
  /** The pools that somebody asked for; the other `pools` were chosen. */
  givenPools: readonly GivenPool[];
  /** The IPAM options as given; null: none were. */
  ipamOptions: Readonly<Record<string, string>> | null;
  options: Readonly<Record<string, string>>;
  labels: Readonly<Record<string, string>>;
}

/** The wishes of a client for one container's place in one network: Docker's EndpointSettings. */
export interface EndpointWish {
  ipv4Address?: string;
  ipv6Address?: string;
  linkLocalIPs?: readonly string[];
  macAddress?: string;
  /** The links as given: "name:alias". */
  links?: readonly string[];
  aliases?: readonly string[];
  driverOpts?: Readonly<Record<string, string>>;
  gatewayPriority?: number;
  /** Those of these fields that were given empty: they are shown so. */
  givenEmpty?: readonly ("ipam" | "links" | "aliases" | "driverOpts")[];
}

/** The addresses and interfaces that a running container has in a network. */
export interface EndpointState {
  endpointId: string;
  /** The interface's name in the container; "" on networks without interfaces (host, none). */
  interfaceName: string;
  /** The name of the pair's other end; "" if there is none. */
  hostInterface: string;
  /** The MAC address; "" on networks without interfaces, and with ipvlan. */
  macAddress: string;
  ipv4?: InterfaceAddress;
  ipv6?: InterfaceAddress;
  /** The router's address; "": a default route leads to whoever is on the link itself. */
  gateway4?: string;
  gateway6?: string;
}

/** A container's place in one network, as the container's row has it. */
export interface EndpointRecord {
  /** The network's id; "" until the network is found, at the start or by `network connect`. */
  networkId: string;
  /** The network's name as the client wrote it; its own name once it is found. */
  networkName: string;
  wish: EndpointWish;
  /** The state while the container runs. It is written before the process starts, so that a daemon that comes back knows. */
  state?: EndpointState;
}

/** The part of a container's row that is about networks. */
export interface ContainerNetworking {
  endpoints: EndpointRecord[];
  /** The published ports while it runs, with the ports that were chosen. */
  ports: PortMapping[];
}
