/** The predefined networks "bridge", "host" and "none", as the daemon's settings have them. */
import { type Family, formatCidr, formatIp, masked, parseCidr } from "../../network/ipam/mod.ts";
import { DEFAULT_GATEWAY_V4, DEFAULT_GATEWAY_V6 } from "./address-book.ts";
import { BRIDGE_NAME, DEFAULT_BRIDGE, ENABLE_ICC, ENABLE_MASQUERADE, HOST_BINDING, MTU } from "./bridge-options.ts";
import { type NetworkHost, noForeignBridge } from "./host.ts";
import type { DefaultBridgeSettings } from "./settings.ts";
import type { GivenPool, NetworkDriver, NetworkRecord } from "./types.ts";

/** Tells whether the daemon makes this network and keeps it as long as it runs. No other network can have these names. */
export function isPredefined({ name }: NetworkRecord): boolean {
  return name === "bridge" || name === "host" || name === "none";
}

/** A predefined network without the fields that are decided once. Its `pools` are in the row. */
export type PredefinedNetwork = Omit<NetworkRecord, "id" | "createdAt" | "pools">;

/** The MTU that Docker shows for an interface when nobody has set one. */
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
    ipamOptions: null,
    options: {},
    labels: {},
  };
}

/** Describes the default network; its options say what the daemon's settings say of it, as with Docker. */
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

/**
 * Returns the default bridge's pools as the settings have them, or as an existing bridge has them. @throws LighterError "invalid"
 */
export function givenPoolsOf(bridge: DefaultBridgeSettings, host: NetworkHost): GivenPool[] {
  const { foreignName } = bridge;
  const found = foreignName === undefined ? [] : host.addressesOf(foreignName);
  if (found === undefined) throw noForeignBridge(foreignName!);
  const foreign = (family: Family) =>
    found
      .map(({ address, prefixLength }) => `${address}/${prefixLength}`)
      .find((text) => parseCidr(text)?.family === family);
  return [
    ...givenPool(bridge.address ?? foreign(4), bridge.fixedCidr, bridge.gateway, DEFAULT_GATEWAY_V4),
    ...(bridge.enableIPv6
      ? givenPool(bridge.address6 ?? foreign(6), bridge.fixedCidr6, bridge.gateway6, DEFAULT_GATEWAY_V6)
      : []),
  ];
}

function givenPool(
  address: string | undefined,
  fixedCidr: string | undefined,
  gateway: string | undefined,
  gatewayKey: string,
): GivenPool[] {
  const own = parseCidr(address ?? fixedCidr ?? "");
  if (own === undefined) return [];
  return [
    {
      subnet: formatCidr(masked(own)),
      // The range is as Docker shows it: for IPv6 it is the subnet, for IPv4 both.
      ...(fixedCidr === undefined || (address === undefined && own.family === 6) ? {} : { ipRange: fixedCidr }),
      ...(address === undefined ? {} : { gateway: formatIp(own) }),
      ...(gateway === undefined ? {} : { auxAddresses: { [gatewayKey]: gateway } }),
    },
  ];
}
