import type { AddressPool, InterfaceAddress, PortMapping } from "../../network/types.ts";

/** By name. */
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
  /** RFC 3339. */
  createdAt: string;
  enableIPv4: boolean;
  enableIPv6: boolean;
  internal: boolean;
  attachable: boolean;
  /** Nobody is ever in it: others are made of its configuration, which is all there is of it. */
  configOnly?: boolean;
  /** The name of the network that this one is made of. */
  configFrom?: string;
  /** Of a bridge at most one a family. Empty on networks without addresses, and on the default one until it is looked at. */
  pools: readonly AddressPool[];
  /** Those of `pools` that somebody asked for; the others were chosen. */
  givenPools: readonly GivenPool[];
  /** As given; null: none were. */
  ipamOptions: Readonly<Record<string, string>> | null;
  options: Readonly<Record<string, string>>;
  labels: Readonly<Record<string, string>>;
}

/** What a client asks of one container's place in one network: Docker's EndpointSettings, where they are wishes. */
export interface EndpointWish {
  ipv4Address?: string;
  ipv6Address?: string;
  linkLocalIPs?: readonly string[];
  macAddress?: string;
  /** As given: "name:alias". */
  links?: readonly string[];
  aliases?: readonly string[];
  driverOpts?: Readonly<Record<string, string>>;
  gatewayPriority?: number;
  /** Of these what was given without anything in it: it is shown so. */
  givenEmpty?: readonly ("ipam" | "links" | "aliases" | "driverOpts")[];
}

/** What a running container has in a network. */
export interface EndpointState {
  endpointId: string;
  /** In the container; "" on networks without interfaces (host, none). */
  interfaceName: string;
  /** The other end of the pair; "" if there is none. */
  hostInterface: string;
  /** "" on networks without interfaces, and of ipvlan. */
  macAddress: string;
  ipv4?: InterfaceAddress;
  ipv6?: InterfaceAddress;
  /** "": a default route leads to whoever is on the link itself. */
  gateway4?: string;
  gateway6?: string;
}

/** A container's place in one network: in the container's row. */
export interface EndpointRecord {
  /** "" until the network is found, at the start or by `network connect`. */
  networkId: string;
  /** As the client named it; the network's own name once it is found. */
  networkName: string;
  wish: EndpointWish;
  /** While the container runs. Written before the process starts, so that a daemon that comes back knows. */
  state?: EndpointState;
}

/** What of a container's row is about networks. */
export interface ContainerNetworking {
  endpoints: EndpointRecord[];
  /** Published while it runs, with the ports that were chosen. */
  ports: PortMapping[];
}
