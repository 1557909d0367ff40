/**
 * Compresses an image's layers before a push. Layers of an image that was made or loaded here may be plain tars. A registry gets
 * them compressed, and the image keeps them so: its manifest names them, and the tars are removed.
 */
import { join } from "node:path";
import type { DiffId, Digest } from "../../base/ids.ts";
import { type Descriptor, type ImageManifest, MEDIA_TYPE } from "../../spec/oci-image.ts";
import { type BlobStore, digestOf } from "../store/blobs.ts";
import type { LayerRecord } from "../store/database.ts";
import type { LayerJobs } from "../store/layer-jobs.ts";
import type { Staging, StoredImage } from "../store/staging.ts";
import type { Compression } from "../tar/compression.ts";

export type LayerCompression = Exclude<Compression, "none">;

export type CompressedBlob = Pick<Descriptor, "mediaType" | "digest" | "size">;

export interface CompressOptions {
  compression: LayerCompression;
  /** Called with how many bytes of a layer's tar are done, and how many there are. */
  onProgress: (diffId: DiffId, currentBytes: number, totalBytes: number) => void;
  /** Called when a layer's blob is in the store. The other layers wait for its result, and fail with it. */
  onCompressed?: (diffId: DiffId, blob: CompressedBlob) => Promise<void>;
  signal?: AbortSignal;
}

/**
 * The indexes of the layers to compress. None if a registry has the image by its digest: then its manifest is not ours to change.
 */
export function plainLayersOf({ manifest, references }: StoredImage): number[] {
  for (const name of references) if (name.includes("@")) return [];
  return [...manifest.layers.keys()].filter((index) => manifest.layers[index]!.mediaType === MEDIA_TYPE.ociLayer);
}

interface Parts {
  staging: Staging;
  blobs: BlobStore;
  jobs: LayerJobs;
}

/**
 * Compresses these layers side by side, in workers; resolves with their blobs by index. If one fails the others are given up, and
 * none is running any more when this throws.
 */
export async function compressBlobs(
  image: StoredImage,
  indexes: readonly number[],
  { compression, onProgress, onCompressed, signal }: CompressOptions,
  { staging, blobs, jobs }: Parts,
): Promise<Map<number, CompressedBlob>> {
  const mediaType = compression === "gzip" ? MEDIA_TYPE.ociLayerGzip : MEDIA_TYPE.ociLayerZstd;
  const failed = new AbortController();
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const compressOne = async (index: number): Promise<CompressedBlob> => {
    const { digest, size } = image.manifest.layers[index]!;
    const diffId = image.document.rootfs.diff_ids[index]!;
    const known = image.layers[index]!.blob;
    if (known.mediaType === mediaType && blobs.has(known.digest)) {
      staging.leasedBlobs.add(known.digest); // another image with the layer was pushed earlier
      return known;
    }
    const path = join(staging.ingestPath, `${index}`);
    const job = { diffId, compression, sourcePath: blobs.pathOf(digest), targetPath: path };
    const made = await jobs.compress(job, (doneBytes) => onProgress(diffId, doneBytes, size), either);
    staging.leasedBlobs.add(made.digest);
    if (!blobs.has(made.digest)) await blobs.adopt({ path, ...made });
    return { mediaType, digest: made.digest, size: made.sizeBytes };
  };
  const results = await Promise.allSettled(
    indexes.map(async (index) => {
      try {
        const blob = await compressOne(index);
        await onCompressed?.(image.document.rootfs.diff_ids[index]!, blob);
        return [index, blob] as const;
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    }),
  );
  either.throwIfAborted();
  return new Map(results.map((result) => (result as PromiseFulfilledResult<readonly [number, CompressedBlob]>).value));
}

interface Recompressed {
  manifest: { bytes: Buffer; digest: Digest; parsed: ImageManifest };
  /** The layers whose blob has changed. */
  layers: LayerRecord[];
}

/** The image's manifest and layers with these blobs, by index, in place of the former ones. Pure. */
export function withBlobs(image: StoredImage, blobs: ReadonlyMap<number, CompressedBlob>): Recompressed {
  const layers = image.manifest.layers.map((layer, index) => ({ ...layer, ...blobs.get(index) }));
  const parsed: ImageManifest = { ...image.manifest, layers };
  const bytes = Buffer.from(JSON.stringify(parsed));
  const records = [...blobs].map(([index, blob]) => ({ ...image.layers[index]!, blob }));
  return { manifest: { bytes, digest: digestOf(bytes), parsed }, layers: records };
}
