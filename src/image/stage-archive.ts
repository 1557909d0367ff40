/** Takes the images of an archive up into the store: blobs moved in and verified, layers unpacked side by side. */
import { createReadStream, statSync } from "node:fs";
import { LighterError } from "../base/errors.ts";
import type { Digest } from "../base/ids.ts";
import { type Descriptor, type ImageManifest, MEDIA_TYPE } from "../spec/oci-image.ts";
import { DirectoryFiles, type ImageFiles, spoolArchive } from "./archive.ts";
import { type BlobStore, digestOf, type IngestedFile } from "./blobs.ts";
import { detectCompression, readHead } from "./compression.ts";
import type { LayerRequest } from "./layer-jobs.ts";
import { chainIdsOf, type LayerStore } from "./layers.ts";
import type { FoundImage } from "./load.ts";
import type { StagedImage, Staging } from "./staging.ts";

/** Bytes of a tar as a stream or open file; or the path of a tar or of an OCI layout directory. */
export type ImageSource = AsyncIterable<Uint8Array> | { fd: number } | { path: string };

export interface LoadProgress {
  /** A layer being unpacked. */
  diffId: Digest;
  /** Bytes of unpacked tar so far. `done` with the last call for the layer. */
  unpackedBytes: number;
  done: boolean;
}

/** @throws LighterError ("invalid") if it is no archive; Node's error if it cannot be read. */
export async function openSource(source: ImageSource, ingestPath: string): Promise<ImageFiles> {
  const highWaterMark = 1024 * 1024;
  if ("fd" in source)
    return spoolArchive(createReadStream("", { fd: source.fd, autoClose: false, highWaterMark }), ingestPath);
  if (!("path" in source)) return spoolArchive(source, ingestPath);
  if (statSync(source.path).isDirectory()) return new DirectoryFiles(source.path, ingestPath);
  return spoolArchive(createReadStream(source.path, { highWaterMark }), ingestPath);
}

export interface ArchiveStagingOptions {
  files: ImageFiles;
  staging: Staging;
  blobs: BlobStore;
  layers: LayerStore;
  onProgress: (progress: LoadProgress) => void;
}

/** @throws LighterError ("invalid", "kernel"). */
export async function stageArchiveImage(found: FoundImage, options: ArchiveStagingOptions): Promise<StagedImage> {
  const { staging, onProgress } = options;
  const diffIds = found.document.rootfs.diff_ids;
  const chainIds = chainIdsOf(diffIds);
  const requests: LayerRequest[] = [];
  for (const [index, layer] of found.layers.entries()) {
    const diffId = diffIds[index]!;
    const chainId = chainIds[index]!;
    staging.leaseLayer({ diffId, chainId });
    let unpackedBytes = 0;
    const report = (done: boolean): void => onProgress({ diffId: diffId as string as Digest, unpackedBytes, done });
    requests.push({
      diffId,
      chainId,
      blob: knownBlob(layer, diffId, chainId, options) ?? (await stageBlob(layer, options)),
      events: {
        onProgress: (progress) => {
          unpackedBytes = progress.unpackedBytes;
          report(false);
        },
        onDone: () => report(true),
      },
    });
  }
  const records = await staging.getLayers(requests);
  await staging.putDocument(found.configBytes, found.configDigest);
  const manifest =
    found.manifest ??
    makeManifest(
      found,
      requests.map(({ blob }) => blob),
    );
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

/** The blob that the layer came from when it was first unpacked, if it will do: then the archive's is not read. */
function knownBlob(
  layer: ArchiveLayer,
  diffId: LayerRequest["diffId"],
  chainId: LayerRequest["chainId"],
  { staging, blobs, layers }: ArchiveStagingOptions,
): LayerRequest["blob"] | undefined {
  const blob = layers.get(diffId, chainId)?.blob;
  if (blob === undefined || !blobs.has(blob.digest)) return undefined;
  if (layer.digest !== undefined && layer.digest !== blob.digest) return undefined;
  staging.leasedBlobs.add(blob.digest);
  return blob;
}

async function stageBlob(
  layer: ArchiveLayer,
  { files, staging, blobs }: ArchiveStagingOptions,
): Promise<LayerRequest["blob"]> {
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
  const mediaType = layer.mediaType ?? (await mediaTypeOf(file));
  staging.leasedBlobs.add(file.digest);
  if (!blobs.has(file.digest)) await blobs.adopt(file);
  return { mediaType, digest: file.digest, size: file.sizeBytes };
}

async function mediaTypeOf(file: IngestedFile): Promise<string> {
  const compression = detectCompression(await readHead(file.path));
  if (compression === "gzip") return MEDIA_TYPE.ociLayerGzip;
  return compression === "zstd" ? MEDIA_TYPE.ociLayerZstd : MEDIA_TYPE.ociLayer;
}

/** The manifest that an archive of `docker save` does not have. The same image gives the same bytes. */
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
