/** Turns off features of overlayfs that would break `commit`. */
import { readFileSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";

/** Features with which part of what an upper directory shows is elsewhere: `commit` could not make a layer of it. */
const FEATURES = ["redirect_dir", "metacopy"] as const;

type ReadParameter = (name: string) => string;

/**
 * The mount options that turn off what this host turns on for every overlay. Usually none: distributions leave these features
 * off.
 * Source: Linux Documentation/filesystems/overlayfs.rst, "Renaming directories" and "Metadata only copy up".
 */
export function planOverlayOptions(read: ReadParameter = readModuleParameter): string[] {
  return FEATURES.filter((name) => read(name).startsWith("Y")).map((name) => `${name}=off`);
}

/**
 * Reads a parameter, "Y" or "N". A kernel without the parameter has no such feature; one that loads overlay later has its
 * default.
 */
function readModuleParameter(name: string): string {
  try {
    return readFileSync(`/sys/module/overlay/parameters/${name}`, "latin1");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "N";
    throw error;
  }
}
