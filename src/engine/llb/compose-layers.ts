/** MERGE and DIFF of LLB: which layers make the root file system. Nothing is copied. */
import { LighterError } from "../../base/errors.ts";
import type { ImageStore, SnapshotLayer } from "../../image/mod.ts";

/**
 * The layers of all, one root file system over the other. A layer of several of them is there once, where it is last: what is between
 * its places is hidden by it, and it adds nothing in the lower one. overlayfs refuses a directory that is there twice.
 */
export function mergeLayers({ snapshots }: ImageStore, ids: readonly string[]): SnapshotLayer[] {
  const layers = ids.flatMap((id) => snapshots.layersOf(id));
  return layers.filter((layer, index) => layers.lastIndexOf(layer) === index);
}

/** The layers that the second has beyond the first. @throws LighterError "not-supported" if it was not made of that */
export function differenceOf({ snapshots }: ImageStore, [lower = "", upper = ""]: readonly string[]): SnapshotLayer[] {
  const [below, whole] = [snapshots.layersOf(lower), snapshots.layersOf(upper)];
  if (below.some((layer, index) => whole[index] !== layer))
    throw new LighterError("not-supported", "a difference of what was not made one of the other is not supported yet");
  return whole.slice(below.length);
}
