/** Gives out the addresses of one pool. */
import { assert } from "../../base/assert.ts";
import { type Cidr, contains, firstOf, lastOf, parseCidr } from "../../base/cidr.ts";
import { LighterError } from "../../base/errors.ts";
import { formatIp, type IpAddress, parseIp } from "../../base/ip-number.ts";
import type { AddressPool, InterfaceAddress } from "../types.ts";

/**
 * The addresses of one pool, and which of them are taken. In memory only: after a restart, each owner says what it has (`claim`).
 */
export class AddressPoolState {
  readonly subnet: Cidr;
  readonly #range: Cidr;
  /** Addresses of containers. */
  readonly #taken = new Set<bigint>();
  /** The network's and gateway's addresses, and those that the user has set aside. */
  readonly #reserved = new Set<bigint>();
  /** All addresses below this one are taken. */
  #lowestFree: bigint;

  constructor(pool: AddressPool) {
    this.subnet = cidrOf(pool.subnet);
    this.#range = pool.ipRange === undefined ? this.subnet : cidrOf(pool.ipRange);
    this.#lowestFree = firstOf(this.#range);
    for (const text of [pool.gateway, ...Object.values(pool.auxAddresses ?? {})]) {
      const address = parseIp(text);
      if (address !== undefined) this.#reserved.add(address.value);
    }
    for (const value of endsOf(this.subnet)) this.#reserved.add(value);
  }

  /** Takes the lowest free address; undefined if there is none. */
  takeAny(): InterfaceAddress | undefined {
    const last = lastOf(this.#range);
    let value = this.#lowestFree;
    while (value <= last && this.#isTaken(value)) value++;
    this.#lowestFree = value;
    return value > last ? undefined : this.#take(value);
  }

  /** Takes this address. @throws LighterError "forbidden" if somebody has it, or nobody may have it */
  take(address: IpAddress): InterfaceAddress {
    assert(contains(this.subnet, address), "an address is asked of the pool that has it");
    if (this.#isTaken(address.value)) throw new LighterError("forbidden", "Address already in use");
    return this.#take(address.value);
  }

  /** Takes an address for a container that has it already. */
  claim(address: IpAddress): void {
    this.#taken.add(address.value);
  }

  release(address: IpAddress): void {
    if (this.#taken.delete(address.value) && contains(this.#range, address) && address.value < this.#lowestFree)
      this.#lowestFree = address.value;
  }

  #take(value: bigint): InterfaceAddress {
    this.#taken.add(value);
    return { address: formatIp({ family: this.subnet.family, value }), prefixLength: this.subnet.prefixLength };
  }

  #isTaken(value: bigint): boolean {
    return this.#reserved.has(value) || this.#taken.has(value);
  }

  get takenCount(): number {
    return this.#taken.size;
  }
}

/** The network's own address and IPv4's broadcast address. Networks of one or two addresses have neither (RFC 3021). */
function endsOf(subnet: Cidr): bigint[] {
  const [first, last] = [firstOf(subnet), lastOf(subnet)];
  if (last - first < 2n) return [];
  return subnet.family === 4 ? [first, last] : [first];
}

function cidrOf(text: string): Cidr {
  const cidr = parseCidr(text);
  assert(cidr !== undefined, `"${text}" is an address range`);
  return cidr;
}
