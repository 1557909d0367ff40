/**
 * 64-bit integers as numbers, for fields where the nearest number is good enough: limits, sizes and durations, whose largest
 * values mean "none".
 */

/** The largest number that is an int64. JavaScript writes it as 9223372036854775000, and 2^63 as more than an int64. */
export const INT64_MAX_NUMBER = 2 ** 63 - 1024;

/**
 * The number nearest to an int64 that is itself written as an int64: beyond 2^53 not every integer is a number. Undefined if the
 * value is no int64.
 */
export function int64Number(value: bigint): number | undefined {
  if (BigInt.asIntN(64, value) !== value) return undefined;
  return Math.max(-INT64_MAX_NUMBER, Math.min(Number(value), INT64_MAX_NUMBER));
}
