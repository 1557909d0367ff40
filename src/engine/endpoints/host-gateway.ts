/** The address of the host for containers that ask for "host-gateway". */
import { isIPv4 } from "node:net";
import { LighterError } from "../../base/errors.ts";
import { DEFAULT_NETWORK } from "../config/mod.ts";
import type { Networks } from "../networks/networks.ts";

/**
 * Returns the address that stands for "host-gateway" in a container's ExtraHosts: the one that the daemon was given, or that of
 * the default network's bridge, which is made if it does not exist.
 * @throws LighterError "invalid" if there is neither, with Docker's text
 */
export function hostGateway(networks: Networks): string {
  const address = hostGatewayOf(networks);
  if (address === undefined) throw new LighterError("invalid", "unable to derive the IP value for host-gateway");
  if (networks.settings.hostGateways.length === 0) networks.prepare(networks.find(DEFAULT_NETWORK));
  return address;
}

/** The same address, without making anything; undefined if there is none. */
export function hostGatewayOf(networks: Networks): string | undefined {
  const { hostGateways, defaultBridge } = networks.settings;
  const given = hostGateways.find((address) => isIPv4(address)) ?? hostGateways[0];
  if (given !== undefined || defaultBridge === undefined) return given;
  return networks.find(DEFAULT_NETWORK).pools[0]?.gateway ?? "";
}
