/** Makes layers of snapshots into layers that images can have: with a tar, its digest and a size. */
import type { ChainId, DiffId } from "../../base/ids.ts";
import { type FileWorkers, measureTrees } from "../../files/mod.ts";
import { MEDIA_TYPE } from "../../spec/oci-image.ts";
import { ingested } from "../archive/archive.ts";
import type { BlobStore, IngestedFile } from "./blobs.ts";
import type { LayerJobs } from "./layer-jobs.ts";
import type { LayerStore } from "./layers.ts";
import type { SnapshotLayer, Snapshots } from "./snapshots.ts";

interface Parts {
  blobs: BlobStore;
  layers: LayerStore;
  snapshots: Snapshots;
  jobs: LayerJobs;
  workers: FileWorkers;
  /** Makes a change of the store's state when it is its turn. */
  change: (work: () => Promise<void>) => Promise<void>;
}

export class SnapshotPacker {
  readonly #parts: Parts;
  readonly #packing = new Map<SnapshotLayer, Promise<void>>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Packs a layer of a snapshot that is held; once, however many ask. Its tar says of files that were changed later than
   * `maxMtimeSeconds` that they were changed then.
   */
  async pack(layer: SnapshotLayer, maxMtimeSeconds?: number): Promise<void> {
    if (layer.packed !== undefined) return;
    const underway = this.#packing.get(layer);
    if (underway !== undefined) return await underway;
    const packing = this.#pack(layer, maxMtimeSeconds).finally(() => this.#packing.delete(layer));
    this.#packing.set(layer, packing);
    await packing;
  }

  async #pack(layer: SnapshotLayer, maxMtimeSeconds: number | undefined): Promise<void> {
    const { blobs, layers, jobs, change } = this.#parts;
    const ingestPath = await blobs.createIngest();
    try {
      const source = { upperPath: layers.directoryPath(layer.directory), includeRoot: layer.root !== undefined };
      const times = maxMtimeSeconds === undefined ? {} : { maxMtimeSeconds };
      const [made] = await Promise.all([jobs.pack({ ...source, ...times }, ingestPath), this.measure([layer])]);
      await change(() => this.#adopt(layer, ingested(made, ingestPath)));
    } finally {
      await blobs.removeIngest(ingestPath);
    }
  }

  async #adopt(layer: SnapshotLayer, file: IngestedFile): Promise<void> {
    const { blobs, layers } = this.#parts;
    const { directory, root, sizeBytes } = layer;
    const { digest, sizeBytes: size } = file;
    const diffId = digest as string as DiffId; // it is a plain tar
    const chainId = digest as string as ChainId; // of no use: an upper directory implies no directories
    const known = layers.get(diffId, chainId);
    if (known === undefined) await blobs.adopt(file);
    const totals = { sizeBytes, impliedDirectories: [], root };
    const record =
      known ?? layers.add(chainId, diffId, directory, { mediaType: MEDIA_TYPE.ociLayer, digest, size }, totals);
    layer.packed = { diffId, record };
  }

  async measure(layers: readonly SnapshotLayer[]): Promise<void> {
    const unmeasured = layers.filter(({ sizeBytes, packed }) => sizeBytes === 0 && packed === undefined);
    if (unmeasured.length === 0) return;
    const paths = unmeasured.map(({ directory }) => this.#parts.layers.directoryPath(directory));
    const sizes = await measureTrees(this.#parts.workers, paths);
    for (const [index, layer] of unmeasured.entries())
      if (sizes[index]! > 0) this.#parts.snapshots.setSize(layer, sizes[index]!);
  }
}
