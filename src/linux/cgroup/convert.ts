/** Converts numbers of the runtime-spec to those that cgroup files take, and checks them. */
import { LighterError } from "../../base/errors.ts";

/** The CPU period that applies where a limit names none. */
export const CPU_PERIOD_DEFAULT_US = 100_000;

const CPU_SHARES_MIN = 2;
const CPU_SHARES_MAX = 262144;

/**
 * The `cpu.weight` (1–10000) for v1's `cpu.shares` (2–262144): a curve in log space through 2 → 1, 1024 → 100 (the two defaults)
 * and 262144 → 10000. Shares outside the range count as its nearest end.
 * Source: what runc does since 1.3.2 and crun since 1.23; before, both mapped linearly and turned the default of 1024 into 39.
 * See opencontainers/runc issue 4896.
 */
export function cpuWeightFromShares(shares: number): number {
  if (shares <= CPU_SHARES_MIN) return 1;
  if (shares >= CPU_SHARES_MAX) return 10000;
  const log = Math.log2(shares);
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34));
}

/**
 * The `io.weight` (1–10000) for blkio's weight (10–1000): linear, rounded down, as runc and crun do. It is for kernels without
 * BFQ only; BFQ's `io.bfq.weight` takes the weight unchanged.
 */
export function ioWeightFromBlkio(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

/**
 * The `memory.swap.max` in bytes for the runtime-spec's `swap`, which is memory + swap; -1 is unlimited. Undefined means that the
 * file is not written.
 * @throws LighterError ("invalid") if swap is below the limit, or the limit is not known.
 */
export function swapMaxFromMemsw(swap: number | undefined, limit: number | undefined): number | undefined {
  if (swap === undefined) return limit === -1 ? -1 : undefined; // no memory limit, so none on swap, as on v1
  if (swap === -1 || limit === -1) return swap;
  if (limit === undefined) throw new LighterError("invalid", "resources.memory.swap is set without memory.limit");
  checkMemsw(swap, limit);
  return swap - limit;
}

/**
 * Checks that memory + swap is not less than memory. Both are set; -1 is unlimited.
 * @throws LighterError ("invalid")
 */
export function checkMemsw(swap: number, limit: number): void {
  if (swap !== -1 && (limit === -1 || swap < limit))
    throw new LighterError(
      "invalid",
      `resources.memory.swap (${swap}) is memory + swap, so it must not be less than memory.limit (${limit})`,
    );
}

const U64_MAX = 2n ** 64n - 1n;

/**
 * An integer in full decimal digits: `String(2 ** 63)` rounds, and 1e21 gets an exponent. Callers send the largest u64 for
 * "unlimited". A double cannot hold it; it comes as 2^64, which the kernel would take as 0.
 */
export function formatInteger(value: number): string {
  const exact = BigInt(value);
  return (exact > U64_MAX ? U64_MAX : exact).toString();
}

/**
 * Turns the bigints of resources that were parsed without loss into doubles, which everything here takes. What is rounded away is
 * less than a page of memory, or a part in 2^53 of a rate.
 */
export function withPlainNumbers<T>(value: T): T {
  if (typeof value === "bigint") return Number(value) as T;
  if (Array.isArray(value)) return value.map(withPlainNumbers) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withPlainNumbers(each)])) as T;
}

/**
 * Checks that `value` is an integer from `min` to `max`.
 * @throws LighterError ("invalid")
 */
export function checkInteger(value: number, what: string, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new LighterError("invalid", `resources.${what} is ${value}, not an integer from ${min} to ${max}`);
}
