/**
 * Root file systems that belong to no image: those that steps of builds have made.
 *
 *   snapshot       a list of layers, lowest first, by an id that the caller chooses; it keeps them as an image does
 *   own layer      the upper directory of a step, moved to l/ as it was: nothing is copied, and no tar is made of it
 *   packed layer   one that has a blob and so may be in an image: a base image's, or an own one after `pack`
 *   steps/NAME     the upper and work directories of a step under way; what is left of a killed one is removed at the next open
 *
 * A snapshot is written without a sync of the disk. What has not been synced since counts as lost when the host has been booted
 * meanwhile: it is only a cache.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { type DiffId, randomId } from "../../base/ids.ts";
import { IMAGE_MAX_LAYERS } from "../../base/limits.ts";
import { writePoint } from "../../base/write-point.ts";
import type { Trash } from "../../files/mod.ts";
import { spreadDirectories } from "../../linux/sys/spread-directories.ts";
import type { Descriptor } from "../../spec/oci-image.ts";
import type { ImageDatabase, LayerRecord, RootAttributes, SnapshotLayerRecord } from "./database.ts";
import type { LayerStore } from "./layers.ts";

/** A layer of snapshots, in memory. */
export interface SnapshotLayer extends SnapshotLayerRecord {
  /** The layer among those of images; undefined if it has no blob yet. Its directory may be another one, of the same content. */
  packed: { diffId: DiffId; record: LayerRecord } | undefined;
}

interface Snapshot {
  id: string;
  layers: readonly SnapshotLayer[];
  /** False if the disk may not have all of it. */
  isSynced: boolean;
}

/** A step's directories, for an overlay mount. `upper` gets the attributes of "/" from the caller. */
export interface StepDirectory {
  path: string;
  upper: string;
  work: string;
}

interface Parts {
  rootPath: string;
  database: ImageDatabase;
  layers: LayerStore;
  trash: Trash;
}

export class Snapshots {
  readonly #stepsPath: string;
  readonly #database: ImageDatabase;
  readonly #layers: LayerStore;
  readonly #trash: Trash;
  readonly #snapshots = new Map<string, Snapshot>();
  /** By directory. */
  readonly #own = new Map<string, SnapshotLayer>();
  /** How many users hold each snapshot. */
  readonly #holds = new Map<string, number>();

  static async open({ rootPath, database, layers, trash }: Parts): Promise<Snapshots> {
    const snapshots = new Snapshots(join(rootPath, "steps"), database, layers, trash);
    mkdirSync(snapshots.#stepsPath, { recursive: true, mode: 0o700 });
    spreadDirectories(snapshots.#stepsPath);
    for (const name of readdirSync(snapshots.#stepsPath)) await trash.discard(join(snapshots.#stepsPath, name));
    snapshots.#read();
    await layers.removeUnknown(new Set(snapshots.#own.keys()));
    return snapshots;
  }

  private constructor(stepsPath: string, database: ImageDatabase, layers: LayerStore, trash: Trash) {
    this.#stepsPath = stepsPath;
    this.#database = database;
    this.#layers = layers;
    this.#trash = trash;
  }

  #read(): void {
    const bootId = readBootId();
    const records = new Map([...this.#layers.records()].map((record) => [record.directory, record]));
    const own = new Map(this.#database.snapshotLayers().map((layer) => [layer.directory, layer]));
    const lost: string[] = [];
    for (const { id, directories, boot } of this.#database.snapshots()) {
      const layers = directories.map((directory) => this.#layerAt(own.get(directory), records.get(directory)));
      if ((boot !== null && boot !== bootId) || layers.some((layer) => layer === undefined)) lost.push(id);
      else this.#snapshots.set(id, { id, layers: layers as SnapshotLayer[], isSynced: boot === null });
    }
    for (const { layers } of this.#snapshots.values())
      for (const layer of layers) this.#own.set(layer.directory, layer);
    const forgotten = [...own.keys()].filter((directory) => !this.#own.has(directory));
    if (lost.length > 0 || forgotten.length > 0) this.#database.removeSnapshots(lost, forgotten);
  }

  /** The layer as memory has it: one object for each directory. Undefined if it is gone. */
  #layerAt(layer: SnapshotLayerRecord | undefined, record: LayerRecord | undefined): SnapshotLayer | undefined {
    if (layer === undefined || !existsSync(this.#layers.directoryPath(layer.directory))) return undefined;
    const known = this.#own.get(layer.directory);
    if (known !== undefined) return known;
    const diffId = layer.diffId ?? (record?.implied === false ? (record.key as DiffId) : undefined);
    const made = { ...layer, packed: record === undefined || diffId === undefined ? undefined : { diffId, record } };
    this.#own.set(layer.directory, made);
    return made;
  }

  has(id: string): boolean {
    return this.#snapshots.has(id);
  }

  ids(): string[] {
    return [...this.#snapshots.keys()];
  }

  /** The layers, lowest first. "" is an empty root file system. @throws LighterError "not-found" */
  layersOf(id: string): readonly SnapshotLayer[] {
    if (id === "") return [];
    const snapshot = this.#snapshots.get(id);
    if (snapshot === undefined) throw new LighterError("not-found", `no such snapshot: ${id}`);
    return snapshot.layers;
  }

  /** The images' layers that snapshots need. */
  *records(): Iterable<LayerRecord> {
    for (const { packed } of this.#own.values()) if (packed !== undefined) yield packed.record;
  }

  // --- Making them ---

  /** Makes a snapshot of layers that images can have, lowest first. */
  addLayers(id: string, layers: readonly LayerRecord[], diffIds: readonly DiffId[]): void {
    const own = layers.map((record, index): SnapshotLayer => {
      const { directory, root, sizeBytes } = record;
      const diffId = diffIds[index]!;
      const known = this.#own.get(directory);
      return known ?? { directory, root, sizeBytes, diffId, packed: { diffId, record } };
    });
    this.#add(id, own);
  }

  /** Makes the directories for a step. `commit` or `discard` must follow. */
  beginStep(): StepDirectory {
    const path = join(this.#stepsPath, randomId().slice(0, STEP_NAME_LENGTH));
    const step = { path, upper: join(path, "upper"), work: join(path, "work") };
    for (const each of [path, step.upper, step.work]) mkdirSync(each, { mode: 0o700 });
    return step;
  }

  async discardStep({ path }: StepDirectory): Promise<void> {
    await this.#trash.discard(path);
  }

  /**
   * Makes a snapshot of `baseId`'s layers and of what a step, which has ended, has in its upper directory. `root` are the attributes
   * of its "/", if they are not those below.
   */
  commit(id: string, baseId: string, { upper }: StepDirectory, root: RootAttributes | undefined): void {
    const below = this.layersOf(baseId);
    if (root === undefined && readdirSync(upper).length === 0) {
      this.#add(id, below);
      return;
    }
    writePoint("move step's layer");
    const directory = this.#layers.moveIn(upper);
    if (directory === undefined) throw new LighterError("internal", `the files of step ${id} are gone`);
    try {
      this.#add(id, [...below, { directory, root, sizeBytes: 0, diffId: undefined, packed: undefined }]);
    } catch (error) {
      void this.#layers.removeFailed(directory);
      throw error;
    }
  }

  /** Makes a snapshot of layers of others, lowest first. */
  compose(id: string, layers: readonly SnapshotLayer[]): void {
    if (layers.length > IMAGE_MAX_LAYERS)
      throw new LighterError("invalid", `max depth exceeded: there would be more than ${IMAGE_MAX_LAYERS} layers`);
    this.#add(id, layers);
  }

  #add(id: string, layers: readonly SnapshotLayer[]): void {
    const directories = layers.map(({ directory }) => directory);
    const added = layers.filter(({ directory }) => !this.#own.has(directory));
    writePoint("write snapshot");
    this.#database.addSnapshot({ id, directories, boot: readBootId() }, added, this.#layers.nextDirectory);
    for (const layer of added) this.#own.set(layer.directory, layer);
    this.#snapshots.set(id, { id, layers, isSynced: false });
  }

  /** Notes the size of an own layer's files. */
  setSize(layer: SnapshotLayer, sizeBytes: number): void {
    this.#database.setSnapshotLayerSize(layer.directory, sizeBytes);
    layer.sizeBytes = sizeBytes;
  }

  /** The snapshots that the next sync of the disk makes last. */
  unsynced(): string[] {
    return [...this.#snapshots.values()].flatMap(({ id, isSynced }) => (isSynced ? [] : [id]));
  }

  setSynced(ids: readonly string[]): void {
    for (const id of ids) {
      const snapshot = this.#snapshots.get(id);
      if (snapshot !== undefined) snapshot.isSynced = true;
    }
  }

  // --- Removing ---

  /** Keeps a snapshot until what is returned is disposed of. */
  hold(id: string): Disposable {
    this.#holds.set(id, (this.#holds.get(id) ?? 0) + 1);
    return { [Symbol.dispose]: () => this.#release(id) };
  }

  #release(id: string): void {
    const count = this.#holds.get(id)! - 1;
    if (count > 0) this.#holds.set(id, count);
    else this.#holds.delete(id);
  }

  isHeld(id: string): boolean {
    return this.#holds.has(id);
  }

  /**
   * Forgets snapshots that nobody holds, with the layers that they alone have. Returns the images' layers that they had, which
   * perhaps nobody needs any more.
   */
  async remove(ids: readonly string[]): Promise<LayerRecord[]> {
    const going = new Set(ids.filter((id) => this.has(id) && !this.isHeld(id)));
    if (going.size === 0) return [];
    const stay = [...this.#snapshots.values()].filter(({ id }) => !going.has(id));
    const needed = new Set(stay.flatMap(({ layers }) => layers));
    const gone = [...this.#own.values()].filter((layer) => !needed.has(layer));
    this.#database.removeSnapshots(
      [...going],
      gone.map(({ directory }) => directory),
    );
    for (const id of going) this.#snapshots.delete(id);
    for (const { directory } of gone) this.#own.delete(directory);
    const ofImages = gone.flatMap(({ packed }) => packed?.record ?? []);
    const directories = new Set(ofImages.map(({ directory }) => directory));
    for (const { directory } of gone) if (!directories.has(directory)) await this.#layers.removeFailed(directory);
    return ofImages;
  }
}

/** What an image over a snapshot says of its layers. */
export interface PackedLayers {
  layers: Descriptor[];
  diffIds: DiffId[];
}

export function packedLayers(layers: readonly SnapshotLayer[]): PackedLayers {
  const packed = layers.map((layer) => {
    if (layer.packed === undefined) throw new LighterError("internal", `layer ${layer.directory} is not packed`);
    return layer.packed;
  });
  return { layers: packed.map(({ record }) => record.blob), diffIds: packed.map(({ diffId }) => diffId) };
}

/** Enough of them for all steps under way, and short: the path becomes part of overlay's mount options. */
const STEP_NAME_LENGTH = 12;

/** Differs from boot to boot. Source: random(4). */
function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}
