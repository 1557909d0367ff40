/** The paths of /proc and /sys that are masked or read-only in a machine, given those of every container. */

/** Adds the kernel's log, which is the host's. */
export function machineMaskedPaths(ofContainers: readonly string[]): string[] {
  return [...ofContainers, "/proc/kmsg"];
}

/**
 * Returns the read-only paths: in a user namespace the kernel itself protects all settings that are not of its own namespaces.
 */
export function machineReadonlyPaths(ofContainers: readonly string[], inUserNamespace: boolean): string[] {
  return ofContainers.filter((path) => path !== "/proc/sys" || !inUserNamespace);
}
