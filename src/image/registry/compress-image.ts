/**
 * Layers of an image that was made or loaded here may be plain tars. A registry gets them compressed, and from then on
 * the image has them so: its manifest names them, and the tars go.
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
  /** Bytes of a layer's tar that are done, and how many there are. */
  onProgress: (diffId: DiffId, currentBytes: number, totalBytes: number) => void;
  /** A layer's blob is in the store. The others wait for what comes of it, and fail with it. */
  onCompressed?: (diffId: DiffId, blob: CompressedBlob) => Promise<void>;
  signal?: AbortSignal;
}

/**
 * The layers that are to be compressed, by their index. None of an image that a registry has by its digest: its manifest
 * is not ours to change.
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
 * Blobs of these layers, by index: side by side, in workers. If one fails the others are given up, and none is running
 * any more when this throws.
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
      staging.leasedBlobs.add(known.digest); // another image with the layer was pushed before
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
  /** Those whose blob is another now. */
  layers: LayerRecord[];
}

/** The manifest and layers of the image with these blobs in place of those that it had, by index. Pure. */
export function withBlobs(image: StoredImage, blobs: ReadonlyMap<number, CompressedBlob>): Recompressed {
  const layers = image.manifest.layers.map((layer, index) => ({ ...layer, ...blobs.get(index) }));
  const parsed: ImageManifest = { ...image.manifest, layers };
  const bytes = Buffer.from(JSON.stringify(parsed));
  const records = [...blobs].map(([index, blob]) => ({ ...image.layers[index]!, blob }));
  return { manifest: { bytes, digest: digestOf(bytes), parsed }, layers: records };
}
