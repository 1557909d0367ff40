/** Finds images by what kubelet calls them. */
import { LighterError } from "../../base/errors.ts";
import type { Image, ImageStore } from "../../engine/mod.ts";
import { invalid } from "../errors.ts";

/** The image of an id, a name, or a name with digest; undefined for none. @throws LighterError "invalid" without a name */
export function findImage(images: ImageStore, reference: string): Image | undefined {
  if (reference === "") throw invalid("the image's name is empty");
  try {
    return images.get(reference);
  } catch (error) {
    if (error instanceof LighterError && (error.code === "not-found" || error.code === "invalid")) return undefined;
    throw error;
  }
}
