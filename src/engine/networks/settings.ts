import { DEFAULT_POOLS, type DefaultPool } from "../../network/ipam/mod.ts";

/** The default bridge network, as the daemon's settings have it. */
export interface DefaultBridgeSettings {
  /** A bridge that somebody else has made, and which stays as it is; undefined: one of our own. */
  foreignName?: string;
  /** With its network's prefix: "192.168.5.1/24". */
  address?: string;
  address6?: string;
  /** Addresses for containers are taken from here. */
  fixedCidr?: string;
  fixedCidr6?: string;
  /** What containers have for a gateway, in place of the bridge's own address. */
  gateway?: string;
  gateway6?: string;
  icc: boolean;
  masquerade: boolean;
  enableIPv6: boolean;
  /** 0: the kernel's. */
  mtu: number;
  /** At which ports are published that name no address. */
  hostAddress: string;
}

/** What the daemon's settings say of networks. */
export interface NetworkSettings {
  /** Undefined: there is none ("bridge": "none"). */
  defaultBridge: DefaultBridgeSettings | undefined;
  addressPools: readonly DefaultPool[];
  /** By driver: options of networks that do not name them. */
  defaultOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Rules for a family are written: masquerading, published ports, isolation of networks. */
  firewall: boolean;
  firewall6: boolean;
  /** The host is made to forward packets. */
  forwarding: boolean;
  /** What "host-gateway" stands for; empty: the default bridge's addresses. */
  hostGateways: readonly string[];
}

export const DEFAULT_NETWORK_SETTINGS: NetworkSettings = {
  defaultBridge: {
    icc: true,
    masquerade: true,
    enableIPv6: false,
    mtu: 0,
    hostAddress: "0.0.0.0",
  },
  addressPools: DEFAULT_POOLS,
  defaultOptions: {},
  firewall: true,
  firewall6: true,
  forwarding: true,
  hostGateways: [],
};
