/** Tells whether the kernel has AppArmor turned on. */

const ENABLED = "/sys/module/apparmor/parameters/enabled";

/**
 * Whether AppArmor is on. `readText` returns undefined for what cannot be read. Source:
 * Documentation/admin-guide/LSM/apparmor.rst.
 */
export function apparmorEnabled(readText: ((path: string) => string | undefined) | undefined): boolean {
  return readText?.(ENABLED)?.startsWith("Y") ?? false;
}
