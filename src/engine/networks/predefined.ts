import { BRIDGE_NAME, DEFAULT_BRIDGE, ENABLE_ICC, ENABLE_MASQUERADE, HOST_BINDING, MTU } from "./bridge-options.ts";
import type { DefaultBridgeSettings } from "./settings.ts";
import type { GivenPool, NetworkDriver, NetworkRecord } from "./types.ts";

/** Made by the daemon, and there as long as it is. No other network can have these names. */
export function isPredefined({ name }: NetworkRecord): boolean {
  return name === "bridge" || name === "host" || name === "none";
}

/** A predefined network but for what is decided once. `pools` is of the row. */
export type PredefinedNetwork = Omit<NetworkRecord, "id" | "createdAt" | "pools">;

/** Docker shows this for an interface that nobody has set. */
const SHOWN_MTU = 1500;

export function predefinedNetwork(name: string, driver: NetworkDriver): PredefinedNetwork {
  return {
    name,
    driver,
    enableIPv4: true,
    enableIPv6: false,
    internal: false,
    attachable: false,
    givenPools: [],
    ipamOptions: {},
    options: {},
    labels: {},
  };
}

/** What the daemon's settings say of it is in its options, as with Docker. */
export function defaultBridge(
  bridge: DefaultBridgeSettings,
  ownName: string,
  givenPools: readonly GivenPool[],
): PredefinedNetwork {
  return {
    ...predefinedNetwork("bridge", "bridge"),
    enableIPv6: bridge.enableIPv6,
    givenPools,
    options: {
      [DEFAULT_BRIDGE]: "true",
      [ENABLE_ICC]: `${bridge.icc}`,
      [ENABLE_MASQUERADE]: `${bridge.masquerade}`,
      [HOST_BINDING]: bridge.hostAddress,
      [BRIDGE_NAME]: bridge.foreignName ?? ownName,
      [MTU]: `${bridge.mtu || SHOWN_MTU}`,
    },
  };
}
