/** Chooses subnets for networks that ask for none. */
import { type Cidr, firstOf, formatCidr, lastOf, masked, overlaps, parseCidr, sizeOf } from "../../base/cidr.ts";
import { LighterError } from "../../base/errors.ts";
import { bitsOf, type Family } from "../../base/ip-number.ts";

/** A range that is cut into subnets of `size` bits, one per network. */
export interface DefaultPool {
  base: string;
  size: number;
}

/** Docker's own pools. Source: libnetwork/ipamutils/utils.go. */
export const DEFAULT_POOLS: readonly DefaultPool[] = [
  ...[17, 18, 19].map((second) => ({ base: `172.${second}.0.0/16`, size: 16 })),
  { base: "172.20.0.0/14", size: 16 },
  { base: "172.24.0.0/14", size: 16 },
  { base: "172.28.0.0/14", size: 16 },
  { base: "192.168.0.0/16", size: 20 },
];

/** The pool for IPv6 networks that ask for no subnet: a /48 of unique local addresses (RFC 4193) for this installation. */
export function localPoolV6(installationId: string): DefaultPool {
  const hash = new Bun.CryptoHasher("sha256").update(`${installationId} IPv6`).digest("hex");
  return { base: `fd${hash.slice(0, 2)}:${hash.slice(2, 6)}:${hash.slice(6, 10)}::/48`, size: 64 };
}

/**
 * The first subnet of the pools that does not overlap any of `taken`.
 * @throws LighterError "not-found", with Docker's text
 */
export function chooseSubnet(pools: readonly DefaultPool[], family: Family, taken: readonly Cidr[]): string {
  const ofFamily = taken.filter((cidr) => cidr.family === family);
  for (const { base, size } of pools) {
    const range = parseCidr(base);
    if (range === undefined || range.family !== family) continue;
    const found = firstFree(masked(range), size, ofFamily);
    if (found !== undefined) return formatCidr(found);
  }
  throw new LighterError(
    "not-found",
    `could not find an available, non-overlapping IPv${family} address pool among the defaults to assign to the network`,
  );
}

/** The first free subnet of a range. Goes from one obstacle to the next: a /48 has too many subnets to look at one by one. */
function firstFree(range: Cidr, prefixLength: number, taken: readonly Cidr[]): Cidr | undefined {
  const step = 1n << BigInt(bitsOf(range.family) - prefixLength);
  const end = firstOf(range) + sizeOf(range);
  let value = firstOf(range);
  while (value + step <= end) {
    const candidate: Cidr = { family: range.family, value, prefixLength };
    const obstacle = taken.find((cidr) => overlaps(cidr, candidate));
    if (obstacle === undefined) return candidate;
    const after = lastOf(obstacle) + 1n;
    value = after > value + step ? ((after + step - 1n) / step) * step : value + step;
  }
  return undefined;
}
