/** Paths of /proc and /sys, given those of every container. */

/** The kernel's log is the host's. */
export function machineMaskedPaths(ofContainers: readonly string[]): string[] {
  return [...ofContainers, "/proc/kmsg"];
}

/** In a user namespace the kernel itself keeps all settings that are not of its own namespaces. */
export function machineReadonlyPaths(ofContainers: readonly string[], inUserNamespace: boolean): string[] {
  return ofContainers.filter((path) => path !== "/proc/sys" || !inUserNamespace);
}
