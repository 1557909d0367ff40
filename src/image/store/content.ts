import type { Digest } from "../../base/ids.ts";
import { UNFINISHED_PULL_MAX_AGE_MS } from "../../base/limits.ts";
import { syncFileSystem } from "../../linux/sys/syncfs.ts";
import type { BlobStore } from "./blobs.ts";
import type { ImageDatabase, LayerRecord } from "./database.ts";
import type { ImageIndex } from "./image-index.ts";
import type { LayerStore } from "./layers.ts";
import { blobsOf, type Staging } from "./staging.ts";

interface Parts {
  index: ImageIndex;
  database: ImageDatabase;
  blobs: BlobStore;
  layers: LayerStore;
  /** Of the file system that all of it is on. */
  lockFd: number;
}

/** A store's layers and blobs: which of them something needs, an image or a change in the making, and the end of the others. */
export class Content {
  readonly #index: ImageIndex;
  readonly #database: ImageDatabase;
  readonly #blobs: BlobStore;
  readonly #layers: LayerStore;
  readonly #lockFd: number;
  /** Of changes in the making. */
  readonly leases = new Set<Staging>();

  constructor({ index, database, blobs, layers, lockFd }: Parts) {
    this.#index = index;
    this.#database = database;
    this.#blobs = blobs;
    this.#layers = layers;
    this.#lockFd = lockFd;
  }

  #usedLayers(): Set<LayerRecord> {
    return new Set(this.#index.values().flatMap(({ layers }) => layers));
  }

  /** Layers that no image has and no change in the making. */
  freeLayers(): LayerRecord[] {
    const used = this.#usedLayers();
    const leases = [...this.leases];
    const isLeased = ({ key }: LayerRecord): boolean => leases.some(({ leasedLayers }) => leasedLayers.has(key));
    return [...this.#layers.records()].filter((layer) => !used.has(layer) && !isLeased(layer));
  }

  /** Blobs of images, of layers that wait for one, and of changes in the making. */
  usedBlobs(): Set<Digest> {
    const usedLayers = this.#usedLayers();
    const used = new Set(this.#index.values().flatMap(blobsOf));
    for (const layer of this.#layers.records()) if (!usedLayers.has(layer)) used.add(layer.blob.digest);
    for (const { leasedBlobs } of this.leases) for (const digest of leasedBlobs) used.add(digest);
    return used;
  }

  /** Nobody can take them up any more when this returns its promise. So with `removeLayers`. */
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

  /** Of a load that was killed, or a pull that failed long ago. */
  async removeGarbage(): Promise<void> {
    const oldestMs = Date.now() - UNFINISHED_PULL_MAX_AGE_MS;
    await this.removeLayers(this.freeLayers().filter((layer) => this.#layers.addedAtMs(layer) < oldestMs));
    const removed = await this.#blobs.removeAllBut(this.usedBlobs());
    if (removed.length > 0) this.#database.deleteBlobPlaces(removed);
  }

  /** Of an image that was removed while it was held. */
  async removeUnneeded({ leasedLayers, leasedBlobs }: Staging): Promise<void> {
    await this.removeLayers(this.freeLayers().filter(({ key }) => leasedLayers.has(key)));
    await this.removeBlobs([...leasedBlobs]);
  }

  /** Ends a lease. What was leased and belongs to nothing goes, unless it is to be kept for another try. */
  async release(staging: Staging, failed: boolean, keepUnfinished: boolean): Promise<void> {
    this.leases.delete(staging);
    if (!failed) return await this.removeUnneeded(staging);
    const added = (): LayerRecord[] =>
      this.freeLayers().filter((layer) => staging.leasedLayers.has(layer.key) && !this.#layers.isCommitted(layer));
    if (!keepUnfinished || !(await this.#keepLayers(added()))) await this.#layers.remove(added());
    await this.removeBlobs([...staging.leasedBlobs]);
  }

  /** Makes layers without an image last; false if that fails, which must not hide why they have none. */
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
