/** Computes how much disk space images take. */
import type { Digest } from "../../base/ids.ts";
import type { LayerRecord } from "./database.ts";
import type { StoredImage } from "./staging.ts";

export interface ImageUsage {
  id: Digest;
  /** The file bytes of its unpacked layers: of those that it alone has, and of those that other images have too. */
  uniqueBytes: number;
  sharedBytes: number;
}

export interface DiskUsage {
  images: ImageUsage[];
  /** The bytes of all unpacked layers, each counted once. */
  layersBytes: number;
  /** The part of these in layers that no image has: a failed pull left them. */
  unusedLayersBytes: number;
  /** The bytes of compressed layers and documents. */
  blobsBytes: number;
}

function sumOf(layers: Iterable<LayerRecord>): number {
  let sum = 0;
  for (const { sizeBytes } of layers) sum += sizeBytes;
  return sum;
}

/**
 * Computes the usage. Pure. The unique bytes of all images, each shared layer once, and the unused ones add up to `layersBytes`.
 */
export function computeDiskUsage(
  images: readonly Pick<StoredImage, "id" | "layers">[],
  layers: readonly LayerRecord[],
  blobsBytes: number,
): DiskUsage {
  const imageCounts = new Map<LayerRecord, number>();
  // A layer that an image has twice counts once.
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
