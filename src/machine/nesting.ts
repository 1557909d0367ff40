/** What a machine has for engines and user namespaces in it, if it is asked for. */
import { LighterError } from "../base/errors.ts";
import { NESTING_LABEL } from "../spec/machine-labels.ts";
import type { OciMount } from "../spec/oci-runtime.ts";

/** The directories of engines, which cannot be on an overlay. */
export const ENGINE_DIRECTORIES = ["containerd", "containers", "docker", "lighter"].map((name) => `/var/lib/${name}`);

/** @throws LighterError "invalid" for a value that is neither true nor false */
export function parseNesting(labels: Readonly<Record<string, string>>): boolean {
  const value = labels[NESTING_LABEL] ?? "false";
  if (value === "true" || value === "false") return value === "true";
  throw new LighterError("invalid", `label ${NESTING_LABEL}: "${value}" is neither true nor false`);
}

/**
 * A procfs and a sysfs without masks, where LXC has them: engines that look for devices leave that directory out. A user namespace
 * may mount its own only if there is a whole one. The machine's root could unmount the masks anyway, and the files are the host's
 * root's. Source: mount_too_revealing() in fs/namespace.c.
 */
export const WHOLE_KERNEL_MOUNTS: readonly OciMount[] = [
  { destination: "/dev/.lxc/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
  { destination: "/dev/.lxc/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev"] },
];
