/** Integers of 64 bits where a number is near enough: limits, sizes and durations, of which the largest mean "none". */

/** The largest number that is an int64. JavaScript writes it as 9223372036854775000, and 2^63 as more than an int64. */
export const INT64_MAX_NUMBER = 2 ** 63 - 1024;

/** The number next to an int64, itself one as it is written: beyond 2^53 not every integer is a number. Undefined for what is no int64. */
export function int64Number(value: bigint): number | undefined {
  if (BigInt.asIntN(64, value) !== value) return undefined;
  return Math.max(-INT64_MAX_NUMBER, Math.min(Number(value), INT64_MAX_NUMBER));
}
