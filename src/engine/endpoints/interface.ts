/** Plans an endpoint as an interface of the container, for the runtime. Pure. */
import { isIPv4 } from "node:net";
import { LighterError } from "../../base/errors.ts";
import type { AboveLink, InterfaceLink, NetworkInterface } from "../../runtime/types.ts";
import { bridgeOptionsOf } from "../networks/bridge-options.ts";
import type { NetworkRecord } from "../networks/types.ts";
import type { ActiveEndpoint } from "./order.ts";

/** The prefix lengths of link-local addresses: RFC 3927 for IPv4, RFC 4291 for IPv6. */
const LINK_LOCAL_PREFIX = { ipv4: 16, ipv6: 64 };
/** IFNAMSIZ without its NUL. Source: netdevice(7). */
const INTERFACE_NAME_MAX_BYTES = 15;
const IFNAME_OPTION = "com.docker.network.endpoint.ifname";
const SYSCTLS_OPTION = "com.docker.network.endpoint.sysctls";

/** The network's bridge or parent, as `Networks.prepare` returns it. */
type PreparedLink =
  | { kind: "bridge"; bridge: string; bridgeIndex: number; mtu: number }
  | { kind: "parent"; parentIndex: number; above: AboveLink; mtu: number };

/** Plans an interface. `gateways`: of the default routes through it. @throws LighterError "invalid" for driver options */
export function planInterface(
  { endpoint, state, network }: ActiveEndpoint,
  prepared: PreparedLink,
  gateways: readonly string[],
): NetworkInterface {
  const addresses = [state.ipv4, state.ipv6].filter((address) => address !== undefined);
  const linkLocal = (endpoint.wish.linkLocalIPs ?? []).map((address) => ({
    address,
    prefixLength: isIPv4(address) ? LINK_LOCAL_PREFIX.ipv4 : LINK_LOCAL_PREFIX.ipv6,
  }));
  const sysctls = parseInterfaceSysctls(endpoint.wish.driverOpts?.[SYSCTLS_OPTION]);
  return {
    name: state.interfaceName,
    link: linkOf(state.hostInterface, network, prepared),
    macAddress: state.macAddress,
    mtu: prepared.mtu,
    addresses: [...addresses, ...linkLocal],
    gateways,
    ...(Object.keys(sysctls).length === 0 ? {} : { sysctls }),
  };
}

function linkOf(hostName: string, network: NetworkRecord, prepared: PreparedLink): InterfaceLink {
  if (prepared.kind === "parent") return { ...prepared.above, parentIndex: prepared.parentIndex };
  const isolated = !bridgeOptionsOf(network).icc;
  // A container may reach its own published port by the host's address: the packet goes back where it came from.
  return { type: "veth", hostName, bridgeIndex: prepared.bridgeIndex, isolated, hairpin: true };
}

/** Returns the interface name that the user wants. @throws LighterError "invalid" */
export function wishedInterfaceName(driverOpts: Readonly<Record<string, string>> | undefined): string | undefined {
  const name = driverOpts?.[IFNAME_OPTION];
  if (name === undefined) return undefined;
  if (/^[^\s/:]+$/.test(name) && Buffer.byteLength(name) <= INTERFACE_NAME_MAX_BYTES && name !== "." && name !== "..")
    return name;
  throw new LighterError("invalid", `invalid interface name ${JSON.stringify(name)} in ${IFNAME_OPTION}`);
}

/**
 * Parses "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=2". Only sysctls of the interface itself are
 * allowed: others have their place in HostConfig.Sysctls. @throws LighterError "invalid"
 */
export function parseInterfaceSysctls(option: string | undefined): Record<string, string> {
  const sysctls: Record<string, string> = {};
  for (const each of (option ?? "").split(",").filter((text) => text !== "")) {
    const [, name, value] =
      /^(net\.(?:ipv4|ipv6|mpls)\.(?:conf|neigh)?\.?IFNAME\.[a-z0-9_]+)=([^\r\n]*)$/.exec(each) ?? [];
    if (name === undefined || value === undefined)
      throw new LighterError("invalid", `invalid sysctl ${JSON.stringify(each)} in ${SYSCTLS_OPTION}`);
    sysctls[name] = value;
  }
  return sysctls;
}
