/** The real-time clock to the nanosecond; Bun's own goes to the millisecond only. */
import { check, libc } from "./libc.ts";

const CLOCK_REALTIME = 0;
const timespec = new BigInt64Array(2);

/** The real time in nanoseconds since 1970. (clock_gettime(2)) */
export function realTimeNs(): bigint {
  check(libc.clock_gettime(CLOCK_REALTIME, timespec), "clock_gettime(2)");
  return timespec[0]! * 1_000_000_000n + timespec[1]!;
}
