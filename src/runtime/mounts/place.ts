/** Places in a container's root, and how a mount comes to its own. */
import type { MountOptions } from "../../linux/mount/options.ts";
import type { OpList } from "../../linux/program/builder.ts";
import type { Slot } from "../../linux/program/op.ts";

export const ROOT: Slot = "root";
/** The /dev that this program made, unless something covers it. */
export const DEV: Slot = "dev";

/** Directories that the runtime itself sets up: a symlink there would redirect what it makes (CVE-2023-27561 and similar). */
export const PLAIN_DIRECTORIES = ["dev", "etc", "proc", "sys"];

/** Whether a symbolic link at the destination is refused instead of being followed inside the root. */
export function isKernelDirectory(destination: string): boolean {
  return PLAIN_DIRECTORIES.includes(destination.slice(1).split("/")[0]!) && !destination.startsWith("/etc");
}

/** Moves the mount in slot `mount` to its destination, which is made if it is missing. */
export function attach(init: OpList, mount: Slot, destination: string, type: "directory" | "file", why: string): void {
  const noSymlinks = isKernelDirectory(destination);
  init.add({ kind: "openTarget", root: ROOT, path: destination.slice(1), type, noSymlinks, out: "target", why });
  init.moveMount(mount, "target", why);
}

/** Applies the recursive options and the propagation; the plain attributes are set where the mount is made. */
export function applyOptions(init: OpList, mount: Slot, options: MountOptions, why: string): void {
  if (options.recursiveSet !== 0 || options.recursiveClear !== 0)
    init.setAttributes(mount, { set: options.recursiveSet, clear: options.recursiveClear, recursive: true }, why);
  if (options.propagation)
    init.setAttributes(
      mount,
      { propagation: options.propagation.flag, recursive: options.propagation.recursive },
      `${why}: propagation`,
    );
}
