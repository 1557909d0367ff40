import { CAPABILITIES, type Capability } from "../linux/capability/mod.ts";

/**
 * They count on the host alone, and nowhere in a user namespace: whoever has them there is told that clocks, modules and devices
 * are its own, and systemd mounts debugfs because of that, in vain.
 */
const OF_THE_HOST: readonly Capability[] = [
  "CAP_MAC_ADMIN",
  "CAP_MAC_OVERRIDE",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_TIME",
];

/** There is one audit log, which without a user namespace would be written to. */
const OF_AUDIT: readonly Capability[] = ["CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_AUDIT_WRITE"];

/**
 * In a user namespace all that mean anything there, whatever the daemon itself has. Otherwise what LXC gives.
 * @param available what the daemon may hand on
 */
export function machineCapabilities(inUserNamespace: boolean, available: readonly Capability[]): readonly Capability[] {
  const [all, without] = inUserNamespace ? [CAPABILITIES, OF_THE_HOST] : [available, [...OF_THE_HOST, ...OF_AUDIT]];
  return all.filter((name) => !without.includes(name));
}
