/** The clocks of machines. */
import type { OciLinux } from "../spec/oci-runtime.ts";

type Clock = "monotonic" | "boottime";

const NS_PER_S = 1_000_000_000n;

/**
 * Returns the offsets of a time namespace in which clocks that show `nowNs` here show 0. Offsets count from the host's clocks,
 * even if ours have offsets themselves.
 * @param own the text of /proc/self/timens_offsets
 * Source: time_namespaces(7).
 */
export function timeOffsets(nowNs: Record<Clock, bigint>, own: string): NonNullable<OciLinux["timeOffsets"]> {
  const offset = (clock: Clock) => {
    const [, secs = "0", nanosecs = "0"] = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(\\d+)$`, "m").exec(own) ?? [];
    const ns = BigInt(secs) * NS_PER_S + BigInt(nanosecs) - nowNs[clock];
    const rest = ((ns % NS_PER_S) + NS_PER_S) % NS_PER_S;
    return { secs: Number((ns - rest) / NS_PER_S), nanosecs: Number(rest) };
  };
  return { monotonic: offset("monotonic"), boottime: offset("boottime") };
}
