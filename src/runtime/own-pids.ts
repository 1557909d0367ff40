/** Tells whether a container has a pid namespace of its own. */
import type { OciConfig } from "../spec/oci-runtime.ts";

/** Whether a container's init is the first process of a pid namespace, so that all others end with it. */
export function hasOwnPids({ linux }: OciConfig): boolean {
  return linux?.namespaces?.some(({ type, path }) => type === "pid" && !path) ?? false;
}
