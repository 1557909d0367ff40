/** Describes networks as Docker's API shows them. */
import type { GivenPool, NetworkRecord, NetworkUser } from "../../engine/mod.ts";

/** The network in the API's form. */
export function describeNetwork(network: NetworkRecord, containers: object): Record<string, unknown> {
  const { configFrom = "", configOnly = false, driver, ipamOptions } = network;
  const shown = shownPools(network);
  return {
    Name: network.name,
    Id: network.id,
    Created: network.createdAt,
    Scope: "local",
    Driver: driver,
    EnableIPv4: network.enableIPv4,
    EnableIPv6: network.enableIPv6,
    IPAM: {
      Driver: "default",
      Options: ipamOptions && sorted(ipamOptions),
      Config: shown.length === 0 ? null : shown.map(describePool),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: configFrom },
    ConfigOnly: configOnly,
    Containers: containers,
    Options: sorted(network.options),
    Labels: sorted(network.labels),
  };
}

/** The address pools in Docker's order: those that were asked for, IPv4 first, then those chosen for the other families. */
function shownPools({ givenPools, pools }: NetworkRecord): GivenPool[] {
  const isIPv6 = ({ subnet }: GivenPool) => subnet.includes(":");
  const chosen = pools.filter((pool) => !givenPools.some((given) => isIPv6(given) === isIPv6(pool)));
  return [...givenPools.filter((pool) => !isIPv6(pool)), ...givenPools.filter(isIPv6), ...chosen];
}

function describePool({ subnet, ipRange, gateway, auxAddresses }: GivenPool): object {
  return {
    Subnet: subnet,
    ...(ipRange === undefined ? {} : { IPRange: ipRange }),
    ...(gateway ? { Gateway: gateway } : {}),
    ...(auxAddresses === undefined ? {} : { AuxiliaryAddresses: sorted(auxAddresses) }),
  };
}

/** The containers in a network, by their id. */
export function describeUsers(users: readonly NetworkUser[]): Record<string, object> {
  return Object.fromEntries(
    users.map(({ containerId, containerName, state: { endpointId, macAddress, ipv4, ipv6 } }) => [
      containerId,
      {
        Name: containerName,
        EndpointID: endpointId,
        MacAddress: macAddress,
        IPv4Address: ipv4 === undefined ? "" : `${ipv4.address}/${ipv4.prefixLength}`,
        IPv6Address: ipv6 === undefined ? "" : `${ipv6.address}/${ipv6.prefixLength}`,
      },
    ]),
  );
}

/** The map with its keys sorted, as Go writes it. */
function sorted(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}
