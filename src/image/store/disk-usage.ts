import type { Digest } from "../../base/ids.ts";
import type { LayerRecord } from "./database.ts";
import type { StoredImage } from "./staging.ts";

export interface ImageUsage {
  id: Digest;
  /** File bytes of its unpacked layers: those it has alone, and those that other images have too. */
  uniqueBytes: number;
  sharedBytes: number;
}

export interface DiskUsage {
  images: ImageUsage[];
  /** Of all unpacked layers, each once. */
  layersBytes: number;
  /** Of these, layers that no image has: a failed pull left them. */
  unusedLayersBytes: number;
  /** Of the compressed layers and the documents. */
  blobsBytes: number;
}

function sumOf(layers: Iterable<LayerRecord>): number {
  let sum = 0;
  for (const { sizeBytes } of layers) sum += sizeBytes;
  return sum;
}

/** Pure. The unique bytes of all images, each shared layer once, and the unused ones make up `layersBytes`. */
export function computeDiskUsage(
  images: readonly Pick<StoredImage, "id" | "layers">[],
  layers: readonly LayerRecord[],
  blobsBytes: number,
): DiskUsage {
  const imageCounts = new Map<LayerRecord, number>();
  // A layer that an image has twice is there once.
  const layersOf = new Map(images.map((image) => [image.id, new Set(image.layers)]));
  for (const own of layersOf.values())
    for (const layer of own) imageCounts.set(layer, (imageCounts.get(layer) ?? 0) + 1);
  return {
    images: [...layersOf].map(([id, own]) => {
      const unique = [...own].filter((layer) => imageCounts.get(layer) === 1);
      const uniqueBytes = sumOf(unique);
      return { id, uniqueBytes, sharedBytes: sumOf(own) - uniqueBytes };
    }),
    layersBytes: sumOf(layers),
    unusedLayersBytes: sumOf(layers.filter((layer) => !imageCounts.has(layer))),
    blobsBytes,
  };
}
