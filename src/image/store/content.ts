/** Removes layers and blobs that nothing needs any more. */
import type { Digest } from "../../base/ids.ts";
import { UNFINISHED_PULL_MAX_AGE_MS } from "../../base/limits.ts";
import { syncFileSystem } from "../../linux/sys/syncfs.ts";
import type { BlobStore } from "./blobs.ts";
import type { ImageDatabase, LayerRecord } from "./database.ts";
import type { ImageIndex } from "./image-index.ts";
import type { LayerStore } from "./layers.ts";
import type { Snapshots } from "./snapshots.ts";
import { blobsOf, type Staging } from "./staging.ts";

interface Parts {
  index: ImageIndex;
  database: ImageDatabase;
  blobs: BlobStore;
  layers: LayerStore;
  snapshots: Snapshots;
  /** An fd on the file system that holds all of it. */
  lockFd: number;
}

/** A store's layers and blobs: which of them an image or a pending change needs, and the removal of the others. */
export class Content {
  readonly #index: ImageIndex;
  readonly #database: ImageDatabase;
  readonly #blobs: BlobStore;
  readonly #layers: LayerStore;
  readonly #snapshots: Snapshots;
  readonly #lockFd: number;
  /** The leases of pending changes. */
  readonly leases = new Set<Staging>();

  constructor({ index, database, blobs, layers, snapshots, lockFd }: Parts) {
    this.#index = index;
    this.#database = database;
    this.#blobs = blobs;
    this.#layers = layers;
    this.#snapshots = snapshots;
    this.#lockFd = lockFd;
  }

  #usedLayers(): Set<LayerRecord> {
    return new Set(this.#index.values().flatMap(({ layers }) => layers));
  }

  /** The layers that no image, no snapshot and no pending change has. */
  freeLayers(): LayerRecord[] {
    const used = this.#usedLayers();
    for (const record of this.#snapshots.records()) used.add(record);
    const leases = [...this.leases];
    const isLeased = ({ key }: LayerRecord): boolean => leases.some(({ leasedLayers }) => leasedLayers.has(key));
    return [...this.#layers.records()].filter((layer) => !used.has(layer) && !isLeased(layer));
  }

  /** The blobs of images, of layers that wait for an image, and of pending changes. */
  usedBlobs(): Set<Digest> {
    const usedLayers = this.#usedLayers();
    const used = new Set(this.#index.values().flatMap(blobsOf));
    for (const layer of this.#layers.records()) if (!usedLayers.has(layer)) used.add(layer.blob.digest);
    for (const { leasedBlobs } of this.leases) for (const digest of leasedBlobs) used.add(digest);
    return used;
  }

  /** Removes blobs. By the time it returns its promise, nobody can use them any more. The same goes for `removeLayers`. */
  async removeBlobs(digests: readonly Digest[]): Promise<void> {
    const used = this.usedBlobs();
    const unused = digests.filter((digest) => !used.has(digest));
    if (unused.length === 0) return;
    const removal = this.#blobs.remove(unused);
    this.#database.deleteBlobPlaces(unused);
    await removal;
  }

  async removeLayers(layers: readonly LayerRecord[]): Promise<void> {
    if (layers.length === 0) return;
    this.#database.apply({ deleteLayers: layers.map(({ key }) => key) });
    await this.#layers.remove(layers);
  }

  /** Removes what a killed load has left, or a pull that failed long ago. */
  async removeGarbage(): Promise<void> {
    const oldestMs = Date.now() - UNFINISHED_PULL_MAX_AGE_MS;
    await this.removeLayers(this.freeLayers().filter((layer) => this.#layers.addedAtMs(layer) < oldestMs));
    const removed = await this.#blobs.removeAllBut(this.usedBlobs());
    if (removed.length > 0) this.#database.deleteBlobPlaces(removed);
  }

  /** Removes the content of an image that was removed while it was held. */
  async removeUnneeded({ leasedLayers, leasedBlobs }: Staging): Promise<void> {
    await this.removeLayers(this.freeLayers().filter(({ key }) => leasedLayers.has(key)));
    await this.removeBlobs([...leasedBlobs]);
  }

  /** Ends a lease. What was leased and belongs to nothing is removed, unless it is to be kept for another try. */
  async release(staging: Staging, failed: boolean, keepUnfinished: boolean): Promise<void> {
    this.leases.delete(staging);
    if (!failed) return await this.removeUnneeded(staging);
    const added = (): LayerRecord[] =>
      this.freeLayers().filter((layer) => staging.leasedLayers.has(layer.key) && !this.#layers.isCommitted(layer));
    if (!keepUnfinished || !(await this.#keepLayers(added()))) await this.#layers.remove(added());
    await this.removeBlobs([...staging.leasedBlobs]);
  }

  /** Makes layers without an image survive a restart. Returns false on failure, which must not hide why they have no image. */
  async #keepLayers(layers: readonly LayerRecord[]): Promise<boolean> {
    if (layers.length === 0) return true;
    try {
      await this.#blobs.settle(layers.map(({ blob }) => blob.digest));
      await syncFileSystem(this.#lockFd);
      this.#database.apply({ addLayers: layers, nextDirectory: this.#layers.nextDirectory });
      this.#layers.setCommitted(layers);
      return true;
    } catch {
      return false;
    }
  }
}
