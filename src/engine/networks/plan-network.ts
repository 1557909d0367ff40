/** Turns what a client asks for into a network's record. Pure. */
import { LighterError, messageOf } from "../../base/errors.ts";
import { IPV6_MTU_MIN } from "../../base/limits.ts";
import {
  AddressPoolState,
  type Cidr,
  chooseSubnet,
  type DefaultPool,
  type Family,
  overlaps,
  parseCidr,
  parseIp,
} from "../../network/ipam/mod.ts";
import type { AddressPool } from "../../network/types.ts";
import { bridgeNameOf, isTooShortForIpv6, parseBridgeOptions, parseMtuOption } from "./bridge-options.ts";
import type { NetworkRequest } from "./create-request.ts";
import { dummyNameOf, type ParentDriver, parentOptionsOf, parseParentOptions } from "./parent-options.ts";
import type { GivenPool, NetworkRecord } from "./types.ts";

type PoolWish = Pick<NetworkRecord, "driver" | "enableIPv4" | "enableIPv6" | "givenPools" | "internal" | "options">;

interface PoolSources {
  /** Pools for networks that ask for none, tried in this order. */
  pools: readonly DefaultPool[];
  /** The host's ranges, which chosen pools must not overlap. */
  hostRanges: readonly Cidr[];
  networks: readonly NetworkRecord[];
}

/**
 * Plans the pools of a network: those that are given, completed, and chosen ones for a family that has none.
 * @throws LighterError "forbidden" if one overlaps another network's; "not-found" if there is none to choose
 */
export function planPools(wish: PoolWish, sources: PoolSources): AddressPool[] {
  const { driver, enableIPv4, enableIPv6, givenPools } = wish;
  const families = [...(enableIPv4 ? [4 as const] : []), ...(enableIPv6 ? [6 as const] : [])];
  const taken = sources.networks.flatMap(({ pools }) => pools.map(({ subnet }) => parseCidr(subnet)!));
  return families.flatMap((family) => {
    const own = givenPools.filter(({ subnet }) => parseCidr(subnet)!.family === family);
    if (own.length === 0) {
      const subnet = chooseSubnet(sources.pools, family, [...taken, ...sources.hostRanges]);
      return [completePool({ subnet }, needsGateway(wish, family))];
    }
    const planned = own.map((pool) => {
      const cidr = parseCidr(pool.subnet)!;
      if (taken.some((each) => overlaps(each, cidr)))
        throw new LighterError("forbidden", "Pool overlaps with other one on this address space");
      taken.push(cidr);
      return completePool(pool, needsGateway(wish, family));
    });
    if (driver === "bridge" && own.length > 1)
      throw new LighterError("forbidden", "bridge driver doesn't support multiple subnets");
    return planned;
  });
}

/**
 * Plans the record of a network that a client wants.
 * @throws LighterError, with Docker's texts, if others are in its way or its driver does not take it
 */
export function planNetwork(
  request: NetworkRequest,
  networks: readonly NetworkRecord[],
): Omit<NetworkRecord, "id" | "createdAt" | "pools"> {
  if (networks.some(({ name }) => name === request.name))
    throw new LighterError("conflict", `network with name ${request.name} already exists`);
  const { configOnly, configFrom, ...wanted } = request;
  // A configuration is for any driver, and nobody is ever in it: Docker shows a driver that cannot be used.
  if (configOnly) return { ...wanted, configOnly, driver: "null" };
  const driver = parseDriver(wanted.driver);
  const plan = {
    ...wanted,
    driver,
    ...(configFrom === "" ? {} : configurationOf(configFrom, networks)),
  };
  if (driver === "bridge") checkBridge(plan, networks);
  else checkParent(driver, parseParentOptions(driver, plan.options).parent, networks);
  const mtu = parseMtuOption(plan.options);
  if (isTooShortForIpv6({ ...plan, mtu }))
    throw new LighterError("invalid", `invalid MTU number: ${mtu}: IPv6 needs ${IPV6_MTU_MIN}`);
  return plan;
}

/** Returns the properties that a network gets from its configuration. */
function configurationOf(configFrom: string, networks: readonly NetworkRecord[]) {
  const found = networks.find(({ configOnly, name }) => configOnly && name === configFrom);
  if (found === undefined)
    throw new LighterError("not-found", `configuration network ${JSON.stringify(configFrom)} does not exist`);
  const { enableIPv4, enableIPv6, givenPools, ipamOptions, options, labels } = found;
  return { configFrom, enableIPv4, enableIPv6, givenPools, ipamOptions, options, labels };
}

function parseDriver(name: string): "bridge" | ParentDriver {
  if (name === "bridge" || name === "macvlan" || name === "ipvlan") return name;
  if (name === "host" || name === "null")
    throw new LighterError("forbidden", `only one instance of "${name}" network is allowed`);
  throw new LighterError("not-found", `plugin ${JSON.stringify(name)} not found`);
}

function checkBridge(
  {
    options,
    enableIPv4,
    enableIPv6,
    internal,
  }: Pick<NetworkRecord, "options" | "enableIPv4" | "enableIPv6" | "internal">,
  networks: readonly NetworkRecord[],
): void {
  const { bridgeName, gatewayModes, isDefault } = parseBridgeOptions(options);
  if (!internal && Object.values(gatewayModes).includes("isolated"))
    throw new LighterError("invalid", "gateway mode 'isolated' can only be used for an internal network");
  if (isDefault)
    throw new LighterError("forbidden", "there is one default bridge network, and it is made by the daemon");
  if (!enableIPv4 && !enableIPv6) throw new LighterError("invalid", "IPv4 or IPv6 must be enabled");
  const other = networks.find((network) => network.driver === "bridge" && bridgeNameOf(network) === bridgeName);
  if (other !== undefined)
    throw new LighterError(
      "forbidden",
      `cannot create network (${bridgeName}): conflicts with network ${other.id} (${bridgeName}): networks have same bridge name`,
    );
}

function checkParent(driver: ParentDriver, parent: string, networks: readonly NetworkRecord[]): void {
  const other = networks.find(
    (network) => parent !== "" && network.driver === driver && parentOptionsOf(network)?.parent === parent,
  );
  if (other !== undefined)
    throw new LighterError("internal", `network ${dummyNameOf(other)} is already using parent interface ${parent}`);
}

/**
 * Tells whether the network needs a gateway; it does not if neither the bridge nor a container would use it. Source: moby, the
 * bridge driver's GetSkipGwAlloc.
 */
function needsGateway({ driver, internal, options }: PoolWish, family: Family): boolean {
  if (driver !== "bridge") return true;
  const { gatewayModes, inhibitIPv4 } = parseBridgeOptions(options);
  if (gatewayModes[family === 4 ? "ipv4" : "ipv6"] === "isolated") return false;
  return !(family === 4 && inhibitIPv4 && internal);
}

/** Completes a pool: if no gateway is named, it is the first address that is free. Without `needsGateway` there is none. */
function completePool({ subnet, ipRange, gateway, auxAddresses }: GivenPool, needsGateway: boolean): AddressPool {
  checkReserved(subnet, gateway, auxAddresses ?? {});
  const pool = {
    subnet,
    ...(ipRange === undefined ? {} : { ipRange }),
    ...(auxAddresses === undefined ? {} : { auxAddresses }),
  };
  if (gateway !== undefined) return { ...pool, gateway };
  if (!needsGateway) return { ...pool, gateway: "" };
  const first = new AddressPoolState({ ...pool, gateway: "" }).takeAny();
  if (first === undefined)
    throw new LighterError("unavailable", `no address of ${ipRange ?? subnet} is left for a gateway`);
  return { ...pool, gateway: first.address };
}

/** Checks that each address that is kept aside is so once. @throws LighterError "internal", with Docker's texts */
function checkReserved(subnet: string, gateway: string | undefined, aux: Readonly<Record<string, string>>): void {
  const state = new AddressPoolState({ subnet, gateway: "" });
  const reserve = (text: string, what: string) => {
    try {
      state.take(parseIp(text)!);
    } catch (error) {
      throw new LighterError("internal", `failed to allocate ${what}: ${messageOf(error)}`);
    }
  };
  if (gateway !== undefined) reserve(gateway, `gateway (${gateway})`);
  for (const [name, text] of Object.entries(aux)) reserve(text, `secondary ip address (${name}:${text})`);
}
