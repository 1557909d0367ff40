/** Tells the image store which containers use images. */
import type { ImageUser } from "../../image/mod.ts";
import type { Engine } from "../engine.ts";
import { imagesOf } from "../volumes/image-mounts.ts";

/** The containers as users of images: their own, and those that are mounted in them. */
export function imageUsers(engine: Engine): ImageUser[] {
  return engine
    .list()
    .flatMap(({ id, record, isActive }) =>
      imagesOf(record).map((imageId) => ({ containerId: id, imageId, isRunning: isActive })),
    );
}
