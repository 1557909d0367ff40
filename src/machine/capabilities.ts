/** The capabilities of machines. */
import { CAPABILITIES, type Capability } from "../linux/capability/mod.ts";

/**
 * Capabilities that count on the host alone, and nowhere in a user namespace: they would tell an init that clocks, modules and
 * devices are its own, and systemd mounts debugfs because of that, in vain.
 */
const OF_THE_HOST: readonly Capability[] = [
  "CAP_MAC_ADMIN",
  "CAP_MAC_OVERRIDE",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_TIME",
];

/** Capabilities for the audit log, of which there is one: without a user namespace it would be written to. */
const OF_AUDIT: readonly Capability[] = ["CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_AUDIT_WRITE"];

/**
 * Returns a machine's capabilities: in a user namespace all that mean anything there, whatever the daemon itself has, otherwise
 * those that LXC gives.
 * @param available what the daemon may hand on
 */
export function machineCapabilities(inUserNamespace: boolean, available: readonly Capability[]): readonly Capability[] {
  const [all, without] = inUserNamespace ? [CAPABILITIES, OF_THE_HOST] : [available, [...OF_THE_HOST, ...OF_AUDIT]];
  return all.filter((name) => !without.includes(name));
}
