/** Tells the architecture that the host's kernel was built for. */
import { LighterError } from "../../base/errors.ts";

/** The architectures that a kernel can be built for; the others are its compatibility modes. */
export type NativeArch = "x86_64" | "aarch64";

/** The architecture this process runs on. @throws LighterError ("not-supported") on any we have no table for. */
export function hostArch(): NativeArch {
  if (process.arch === "x64") return "x86_64";
  if (process.arch === "arm64") return "aarch64";
  throw new LighterError("not-supported", `seccomp: no system call table for the architecture "${process.arch}"`);
}
