/** The mount options of every overlay: those that `commit` needs, and those of a user namespace. */
import { readFileSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { ownRights, type Rights } from "../../linux/rights.ts";

/** Features with which part of what an upper directory shows is elsewhere: `commit` could not make a layer of it. */
const FEATURES = ["redirect_dir", "metacopy"] as const;

type ReadParameter = (name: string) => string;

/**
 * The mount options that turn off what this host turns on for every overlay. Usually none: distributions leave these features
 * off. With "userxattr" overlays keep their notes where a user namespace's root may read and write them.
 * Source: Linux Documentation/filesystems/overlayfs.rst, "Renaming directories" and "Metadata only copy up".
 */
export function planOverlayOptions(
  read: ReadParameter = readModuleParameter,
  { overlayAttributes }: Pick<Rights, "overlayAttributes"> = ownRights(),
): string[] {
  const off = FEATURES.filter((name) => read(name).startsWith("Y")).map((name) => `${name}=off`);
  return overlayAttributes === "user" ? [...off, "userxattr"] : off;
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
