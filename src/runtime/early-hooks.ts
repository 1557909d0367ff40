/** Tells which hooks run while a container is being made. */
import type { OciConfig } from "../spec/oci-runtime.ts";

/** The hooks that run before pivot_root(2), in their order. */
export const EARLY_HOOKS = ["prestart", "createRuntime", "createContainer"] as const;

export function hasEarlyHooks({ hooks = {} }: OciConfig): boolean {
  return EARLY_HOOKS.some((name) => (hooks[name]?.length ?? 0) > 0);
}
