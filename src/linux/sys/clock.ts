/** The kernel's clocks to the nanosecond; Bun's own real-time clock goes to the millisecond only. */
import { check, tryCall } from "./door.ts";

const CLOCKS = { realtime: 0, monotonic: 1, boottime: 7 };
const timespec = new BigInt64Array(2);

/** The real time in nanoseconds since 1970. */
export function realTimeNs(): bigint {
  return clockNs("realtime");
}

/** Reads a clock, as this process's time namespace shows it. (clock_gettime(2)) */
export function clockNs(clock: keyof typeof CLOCKS): bigint {
  check(tryCall("clock_gettime", CLOCKS[clock], timespec), "clock_gettime(2)");
  return timespec[0]! * 1_000_000_000n + timespec[1]!;
}
