/**
 * A pending change of the image store. What it uses or adds is leased to it, so that neither `rmi` of another image nor garbage
 * collection removes it before the change is written.
 */

import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import type { ChainId, Digest } from "../../base/ids.ts";
import type { Reference } from "../../spec/image-reference.ts";
import type { Descriptor, ImageDocument, ImageManifest } from "../../spec/oci-image.ts";
import { ArchiveFiles, ingested } from "../archive/archive.ts";
import { HashedFile } from "../worker/hashed-file.ts";
import type { Input } from "../worker/input.ts";
import type { ArchiveEntry } from "../worker/protocol.ts";
import type { BlobStore, IngestedFile } from "./blobs.ts";
import type { LayerRecord } from "./database.ts";
import type { LayerJobs, LayerRequest, TreeChanges } from "./layer-jobs.ts";

export interface StoredImage {
  /** The digest of the config document. */
  id: Digest;
  manifestDigest: Digest;
  manifestSize: number;
  manifestMediaType: string;
  manifest: ImageManifest;
  document: ImageDocument;
  layers: LayerRecord[];
  /** Full references. */
  references: Set<string>;
  lastUsedAtMs: number;
  /** The image that it was made from, which may be gone. */
  parent?: Digest;
}

/** An image that is about to be stored: its documents and layers are in place, and nothing names them yet. */
export interface StagedImage {
  image: StoredImage;
  names: Reference[];
  /** The image that it was made from, if it was not known by now. */
  parent?: Digest;
}

/** The digests of all blobs that the image needs. */
export function blobsOf(image: StoredImage): Digest[] {
  return [image.manifestDigest, image.id, ...image.manifest.layers.map((layer) => layer.digest)];
}

export class Staging {
  readonly #blobs: BlobStore;
  readonly #jobs: LayerJobs;
  readonly #ingestPath: string;
  readonly leasedBlobs = new Set<Digest>();
  /** diffIds and chainIds. */
  readonly leasedLayers = new Set<string>();
  readonly #over = Promise.withResolvers<void>();

  constructor(blobs: BlobStore, jobs: LayerJobs, ingestPath: string) {
    this.#blobs = blobs;
    this.#jobs = jobs;
    this.#ingestPath = ingestPath;
  }

  /** Resolves when the change is made or given up. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  end(): void {
    this.#over.resolve();
  }

  /** A directory for unfinished files; it is removed when the change is over. */
  get ingestPath(): string {
    return this.#ingestPath;
  }

  leaseImage(image: StoredImage): void {
    for (const digest of blobsOf(image)) this.leasedBlobs.add(digest);
    for (const layer of image.layers) this.leasedLayers.add(layer.key);
  }

  leaseLayer({ diffId, chainId }: { diffId: string; chainId: ChainId }): void {
    this.leasedLayers.add(diffId).add(chainId);
  }

  /** Whether the store has the layer, so that `getLayers` has nothing to do for it. */
  hasLayer(request: LayerRequest): boolean {
    return this.#jobs.has(request);
  }

  /** Prepares for layers that will be asked for soon. */
  warm(): void {
    this.#jobs.warm();
  }

  /** Stores a verified document. */
  async putDocument(bytes: Uint8Array, digest: Digest): Promise<void> {
    this.leasedBlobs.add(digest);
    if (!this.#blobs.has(digest)) await this.#blobs.put(this.#ingestPath, bytes, digest);
  }

  /** Stores a blob that comes in pieces. @throws LighterError "invalid" if it is another one */
  async putBlob(
    { digest, size }: Pick<Descriptor, "digest" | "size">,
    pieces: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    this.leasedBlobs.add(digest);
    if (this.#blobs.has(digest)) return;
    const path = join(this.#ingestPath, digest.slice("sha256:".length));
    using file = new HashedFile(path);
    let sizeBytes = 0;
    for await (const piece of pieces) {
      sizeBytes += piece.length;
      if (sizeBytes > size) break;
      file.write(piece);
    }
    const made = file.finish();
    if (sizeBytes !== size || made.digest !== digest)
      throw new LighterError("invalid", `blob ${digest} is damaged: it has the digest ${made.digest}`);
    if (!this.#blobs.has(digest)) await this.#blobs.adopt({ path, ...made });
  }

  /** Takes an archive apart, into `ingestPath`. `known` are layers that are not needed, by blob's digest and diffId. */
  async takeArchive(
    source: Input | { path: string },
    known: ReadonlyMap<string, LayerRecord>,
    onProgress: (progress: Extract<ArchiveEntry, { kind: "progress" }>) => void,
  ): Promise<ArchiveFiles> {
    const files = new ArchiveFiles(this.#ingestPath, known);
    for (const { key, blob } of known.values()) {
      this.leasedLayers.add(key);
      this.leasedBlobs.add(blob.digest);
    }
    await this.#jobs.takeArchive(source, { ingestPath: this.#ingestPath, known: [...known.keys()] }, (entry) =>
      entry.kind === "progress" ? onProgress(entry) : files.add(entry),
    );
    return files;
  }

  /** Makes a new layer in `ingestPath`. */
  async makeLayer(source: Input | TreeChanges): Promise<IngestedFile> {
    return ingested(await this.#jobs.make(source, this.#ingestPath), this.#ingestPath);
  }

  /** Gets all layers of one image, lowest first. @throws LighterError naming the layer; `signal`'s reason. */
  getLayers(requests: readonly LayerRequest[], signal?: AbortSignal): Promise<LayerRecord[]> {
    for (const request of requests) {
      this.leasedBlobs.add(request.blob.digest);
      this.leaseLayer(request);
    }
    return this.#jobs.getAll(requests, signal);
  }
}
