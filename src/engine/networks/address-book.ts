/** Gives out the addresses of one network. */
import { LighterError } from "../../base/errors.ts";
import {
  AddressPoolState,
  contains,
  type Family,
  type IpAddress,
  macAddressFor,
  parseIp,
} from "../../network/ipam/mod.ts";
import type { AddressPool, InterfaceAddress } from "../../network/types.ts";
import { isRouted, leadsNowhere } from "./parent-options.ts";
import type { EndpointWish, NetworkRecord } from "./types.ts";

/** The name of a reserved address that a bridge's containers use as their gateway. Docker's names. */
export const DEFAULT_GATEWAY_V4 = "DefaultGatewayIPv4";
export const DEFAULT_GATEWAY_V6 = "DefaultGatewayIPv6";

/** The addresses that a container gets in a network. */
export interface EndpointAddresses {
  /** The MAC address; "" if there are no interfaces, or if they have their parent's. */
  macAddress: string;
  ipv4?: InterfaceAddress;
  ipv6?: InterfaceAddress;
  /** The router's address; "": there is none, and all that is not in a subnet is on the link. */
  gateway4?: string;
  gateway6?: string;
}

interface Taken {
  address: InterfaceAddress;
  gateway: string;
}

/** The addresses of one network that are taken. Who has which is not in it. */
export class AddressBook {
  readonly #network: NetworkRecord;
  readonly #isClosed: boolean;
  readonly #isRouted: boolean;
  readonly #pools: readonly { state: AddressPoolState; gateway: string }[];

  constructor(network: NetworkRecord) {
    this.#network = network;
    this.#isRouted = isRouted(network);
    this.#isClosed = leadsNowhere(network);
    this.#pools = network.pools.map((pool) => ({
      state: new AddressPoolState(pool),
      gateway: (network.driver === "bridge" ? gatewayAside(pool) : undefined) ?? pool.gateway,
    }));
  }

  /**
   * Takes addresses. @throws LighterError "forbidden" if an address is somebody's, "unavailable" if none is left; then nothing is
   * taken
   */
  allocate({ ipv4Address = "", ipv6Address = "", macAddress = "" }: EndpointWish): EndpointAddresses {
    const { driver, enableIPv4, enableIPv6 } = this.#network;
    if (driver === "host" || driver === "null") return { macAddress: "" };
    const v4 = enableIPv4 ? this.#take(4, ipv4Address) : undefined;
    let v6: Taken | undefined;
    try {
      v6 = enableIPv6 ? this.#take(6, ipv6Address) : undefined;
    } catch (error) {
      if (v4 !== undefined) this.release({ ipv4: v4.address });
      throw error;
    }
    return {
      macAddress: driver === "ipvlan" ? "" : macAddress || macAddressFor(v4 && parseIp(v4.address.address)),
      ...(v4 === undefined ? {} : { ipv4: v4.address }),
      ...(v6 === undefined ? {} : { ipv6: v6.address }),
      ...this.#gatewayOf("gateway4", v4),
      ...this.#gatewayOf("gateway6", v6),
    };
  }

  #gatewayOf(key: "gateway4" | "gateway6", taken: Taken | undefined): { gateway4?: string; gateway6?: string } {
    if (taken === undefined || this.#isClosed) return {};
    if (this.#isRouted) return { [key]: "" };
    return taken.gateway === "" ? {} : { [key]: taken.gateway };
  }

  #take(family: Family, wanted: string): Taken {
    const pools = this.#pools.filter(({ state }) => state.subnet.family === family);
    if (wanted !== "") {
      const ip = parseIp(wanted);
      const pool = ip && pools.find(({ state }) => contains(state.subnet, ip));
      if (pool === undefined) throw new LighterError("invalid", `no configured subnet contains IP address ${wanted}`);
      return { address: pool.state.take(ip as IpAddress), gateway: pool.gateway };
    }
    for (const { state, gateway } of pools) {
      const address = state.takeAny();
      if (address !== undefined) return { address, gateway };
    }
    const { name, id } = this.#network;
    throw new LighterError(
      "unavailable",
      `no available IPv${family} addresses on this network's address pools: ${name} (${id})`,
    );
  }

  release({ ipv4, ipv6 }: Pick<EndpointAddresses, "ipv4" | "ipv6">): void {
    for (const { state, ip } of this.#owned(ipv4, ipv6)) state.release(ip);
  }

  /** Takes given addresses. One that is taken already stays so: two containers that have the same one run already. */
  claim({ ipv4, ipv6 }: Pick<EndpointAddresses, "ipv4" | "ipv6">): void {
    for (const { state, ip } of this.#owned(ipv4, ipv6)) state.claim(ip);
  }

  /** Pairs addresses with their pools; those of pools that the network no longer has are left out. */
  #owned(...addresses: (InterfaceAddress | undefined)[]): { state: AddressPoolState; ip: IpAddress }[] {
    return addresses.flatMap((address) => {
      const ip = address && parseIp(address.address);
      const pool = ip && this.#pools.find(({ state }) => contains(state.subnet, ip));
      return pool === undefined ? [] : [{ state: pool.state, ip: ip as IpAddress }];
    });
  }
}

function gatewayAside({ subnet, auxAddresses }: AddressPool): string | undefined {
  return auxAddresses?.[subnet.includes(":") ? DEFAULT_GATEWAY_V6 : DEFAULT_GATEWAY_V4];
}
