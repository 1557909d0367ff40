import type { OciConfig } from "../spec/oci-runtime.ts";

/** Whether its init is the first process of a pid namespace, with which all others end. */
export function hasOwnPids({ linux }: OciConfig): boolean {
  return linux?.namespaces?.some(({ type, path }) => type === "pid" && !path) ?? false;
}
