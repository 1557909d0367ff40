import { readFileSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";

/** With these on, part of what an upper directory shows is elsewhere: `commit` could not make a layer of it. */
const FEATURES = ["redirect_dir", "metacopy"] as const;

type ReadParameter = (name: string) => string;

/**
 * Mount options that turn off what this host has on for every overlay. Usually none: distributions leave these features off.
 * Source: Linux Documentation/filesystems/overlayfs.rst, "Renaming directories" and "Metadata only copy up".
 */
export function planOverlayOptions(read: ReadParameter = readModuleParameter): string[] {
  return FEATURES.filter((name) => read(name).startsWith("Y")).map((name) => `${name}=off`);
}

/** "Y" or "N". A kernel that has no such parameter has no such feature; one that loads overlay later has its default. */
function readModuleParameter(name: string): string {
  try {
    return readFileSync(`/sys/module/overlay/parameters/${name}`, "latin1");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "N";
    throw error;
  }
}
