/** Takes an archive's images into the store: moves and verifies blobs, and unpacks layers side by side. */
import { LighterError } from "../../base/errors.ts";
import type { DiffId, Digest } from "../../base/ids.ts";
import { type Descriptor, type ImageManifest, MEDIA_TYPE } from "../../spec/oci-image.ts";
import { type BlobStore, digestOf, type IngestedFile } from "../store/blobs.ts";
import { explained, type LayerRequest } from "../store/layer-jobs.ts";
import { chainIdsOf, type LayerStore } from "../store/layers.ts";
import type { StagedImage, Staging } from "../store/staging.ts";
import { detectCompression, readHead } from "../tar/compression.ts";
import type { Input } from "../worker/input.ts";
import type { ImageFiles } from "./archive.ts";
import type { FoundImage } from "./found-image.ts";

/** A tar's bytes as they come, or the path of a tar or of an OCI layout directory. */
export type ImageSource = Input | { path: string };

export interface LoadProgress {
  /** The layer that is being unpacked. */
  diffId: Digest;
  /** The part of the layer's bytes in the archive that is done; `done` comes with the last call for the layer. */
  currentBytes: number;
  totalBytes: number;
  done: boolean;
}

interface ArchiveStagingOptions {
  files: ImageFiles;
  staging: Staging;
  blobs: BlobStore;
  layers: LayerStore;
  onProgress: (progress: LoadProgress) => void;
}

/** Stages an image. @throws LighterError ("invalid", "kernel"). */
export async function stageArchiveImage(found: FoundImage, options: ArchiveStagingOptions): Promise<StagedImage> {
  const { staging, onProgress } = options;
  const diffIds = found.document.rootfs.diff_ids;
  const chainIds = chainIdsOf(diffIds);
  const requests: LayerRequest[] = [];
  for (const [index, layer] of found.layers.entries()) {
    const diffId = diffIds[index]!;
    const chainId = chainIds[index]!;
    staging.leaseLayer({ diffId, chainId });
    const source = knownBlob(layer, { diffId, chainId }, options) ?? (await stageBlob(layer, diffId, options));
    const totalBytes = source.blob.size;
    const report = (currentBytes: number, done: boolean): void =>
      onProgress({ diffId: diffId as string as Digest, currentBytes, totalBytes, done });
    requests.push({
      diffId,
      chainId,
      ...source,
      events: {
        onProgress: ({ receivedBytes }) => report(receivedBytes, false),
        onDone: () => report(totalBytes, true),
      },
    });
  }
  const records = await staging.getLayers(requests);
  await staging.putDocument(found.configBytes, found.configDigest);
  // The archive's manifest is kept unless the store has a layer in another form than it names.
  const isAsNamed = requests.every(({ blob }, index) => blob.digest === found.layers[index]!.digest);
  const made = requests.map(({ blob }) => blob);
  const manifest = found.manifest !== undefined && isAsNamed ? found.manifest : makeManifest(found, made);
  await staging.putDocument(manifest.bytes, manifest.digest);
  return {
    image: {
      id: found.configDigest,
      manifestDigest: manifest.digest,
      manifestSize: manifest.bytes.length,
      manifestMediaType: manifest.parsed.mediaType ?? MEDIA_TYPE.ociManifest,
      manifest: manifest.parsed,
      document: found.document,
      layers: records,
      references: new Set(),
      lastUsedAtMs: Date.now(),
    },
    names: found.references,
  };
}

type ArchiveLayer = FoundImage["layers"][number];

/**
 * A blob of the store with this layer, if there is a suitable one: then the archive's is not read. The archive may also name the
 * tar itself, of which a blob is another form.
 */
function knownBlob(
  layer: ArchiveLayer,
  { diffId, chainId }: Pick<LayerRequest, "diffId" | "chainId">,
  { files, staging, blobs, layers }: ArchiveStagingOptions,
): Pick<LayerRequest, "blob"> | undefined {
  const blob = files.knownBlob?.(layer.fileName) ?? layers.get(diffId, chainId)?.blob;
  if (blob === undefined || !blobs.has(blob.digest)) return undefined;
  if (![undefined, blob.digest, diffId as string].includes(layer.digest)) return undefined;
  staging.leasedBlobs.add(blob.digest);
  return { blob };
}

async function stageBlob(
  layer: ArchiveLayer,
  diffId: DiffId,
  { files, staging, blobs }: ArchiveStagingOptions,
): Promise<Pick<LayerRequest, "blob" | "unpacked">> {
  const file = await files.ingest(layer.fileName);
  if (file === undefined) throw new LighterError("invalid", `layer "${layer.fileName}" is not in the archive`);
  if (layer.digest !== undefined && file.digest !== layer.digest)
    throw new LighterError(
      "invalid",
      `layer "${layer.fileName}" should have the digest ${layer.digest} and has ${file.digest}`,
    );
  if (layer.size !== undefined && file.sizeBytes !== layer.size)
    throw new LighterError(
      "invalid",
      `layer "${layer.fileName}" should have ${layer.size} bytes and has ${file.sizeBytes}`,
    );
  if (file.failure !== undefined) throw explained(file.failure, `unpack layer ${diffId}`);
  const { unpacked } = file;
  if (unpacked !== undefined && unpacked.diffId !== diffId)
    throw new LighterError("invalid", `unpack layer ${diffId}: its content has the digest ${unpacked.diffId}`);
  const mediaType = layer.mediaType ?? (await mediaTypeOf(file, blobs));
  staging.leasedBlobs.add(file.digest);
  if (!blobs.has(file.digest)) await blobs.adopt(file);
  return { blob: { mediaType, digest: file.digest, size: file.sizeBytes }, ...(unpacked && { unpacked }) };
}

async function mediaTypeOf({ path, digest }: IngestedFile, blobs: BlobStore): Promise<string> {
  const compression = detectCompression(await readHead(blobs.has(digest) ? blobs.pathOf(digest) : path));
  if (compression === "gzip") return MEDIA_TYPE.ociLayerGzip;
  return compression === "zstd" ? MEDIA_TYPE.ociLayerZstd : MEDIA_TYPE.ociLayer;
}

/** Makes the manifest that an archive of `docker save` does not have. The same image gives the same bytes. */
function makeManifest(
  found: FoundImage,
  layers: readonly Pick<Descriptor, "mediaType" | "digest" | "size">[],
): NonNullable<FoundImage["manifest"]> {
  const parsed: ImageManifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: { mediaType: MEDIA_TYPE.ociConfig, digest: found.configDigest, size: found.configBytes.length },
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  };
  const bytes = Buffer.from(JSON.stringify(parsed));
  return { bytes, digest: digestOf(bytes), parsed };
}
