/** The image that a build makes. */
import { formatNow } from "../../base/time.ts";
import type { PlannedStage } from "../../build/mod.ts";
import { type ImageStore, makeImage } from "../../image/mod.ts";
import { type ImageDocument, parseImageConfig } from "../../spec/oci-image.ts";

export type History = ImageDocument["history"];

/** Makes an image of a snapshot, which is held. */
export async function exportImage(
  images: ImageStore,
  snapshot: string,
  { config, author }: PlannedStage,
  history: History,
): Promise<string> {
  const { os, architecture } = images.platform;
  return await makeImage(images, {
    base: undefined,
    below: await images.packSnapshot(snapshot),
    document: {
      ...{ created: formatNow(), architecture, os, config: parseImageConfig(config, "config") },
      ...(author === undefined ? {} : { author }),
    },
    history,
    layer: async () => undefined,
    name: undefined,
  });
}
