/** Lets a machine's clocks begin at its start. */
import { readFileSync } from "node:fs";
import { clockNs } from "../../linux/sys/clock.ts";
import { timeOffsets } from "../../machine/mod.ts";
import type { OciLinux } from "../../spec/oci-runtime.ts";
import type { HostFacts } from "../config/mod.ts";

/**
 * Returns the offsets by which a clock that is read now shows 0; undefined where the kernel or our own rights do not allow any:
 * then the clocks are the host's.
 */
export function offsetsFromNow({ timeNamespaces, capabilities }: HostFacts): OciLinux["timeOffsets"] {
  if (!timeNamespaces || !capabilities.includes("CAP_SYS_TIME")) return undefined;
  const own = readFileSync("/proc/self/timens_offsets", "utf8");
  return timeOffsets({ monotonic: clockNs("monotonic"), boottime: clockNs("boottime") }, own);
}
