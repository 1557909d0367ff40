/**
 * The image store, which is one directory:
 *
 *   images.db                        the images, their names and layers (database.ts): the truth
 *   oci-layout, index.json, blobs/   an OCI image layout, readable by any tool; index.json is written after each change
 *   l/                               the unpacked layers (layers.ts), and those of builds' steps (snapshots.ts)
 *   steps/                           the upper directories of steps that are being executed
 *   ingest/                          unfinished files; downloads among them are kept, the rest is removed when the store is opened
 *   .removed/                        directories that wait to be deleted (files/trash.ts)
 *   lock                             flock(2): one process at a time
 *   worker-lock                      flock(2): held by the process and its layer workers, until the last has ended
 *
 * Every change first puts content in place, then syncs the file system, then names the content in one transaction. What the
 * database does not name is garbage and is removed when the store is opened. While a change is pending, its content is leased to
 * it (staging.ts).
 */

import { closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { errnoOf, isDiskFull, LighterError, messageOf } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { DEAD_OWNER_TIMEOUT_MS, WORKERS_END_TIMEOUT_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { writePoint } from "../../base/write-point.ts";
import { FileWorkers, Trash } from "../../files/mod.ts";
import { lockExclusiveWithin } from "../../linux/sys/flock.ts";
import { syncFileSystem } from "../../linux/sys/syncfs.ts";
import {
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../../spec/image-reference.ts";
import { type Platform, parseImageDocument, parseManifest } from "../../spec/oci-image.ts";
import type { OciMount } from "../../spec/oci-runtime.ts";
import { HOST_PLATFORM } from "../../spec/platform.ts";
import { DirectoryFiles, type ImageFiles } from "../archive/archive.ts";
import type { FoundImage } from "../archive/found-image.ts";
import { findImages } from "../archive/load.ts";
import { type ImageSource, type LoadProgress, stageArchiveImage } from "../archive/stage-archive.ts";
import {
  type CompressedBlob,
  type CompressOptions,
  compressBlobs,
  plainLayersOf,
  withBlobs,
} from "../registry/compress-image.ts";
import { BlobStore } from "./blobs.ts";
import { Content } from "./content.ts";
import type { Changes, ImageDatabase, ImageRecord, LayerRecord, RootAttributes } from "./database.ts";
import { computeDiskUsage, type DiskUsage } from "./disk-usage.ts";
import { type FetchedLayer, fetchLayers } from "./fetch-layers.ts";
import { FormedLayers, type KnownForms, type LayerForm } from "./formed-layers.ts";
import { ImageIndex } from "./image-index.ts";
import { planImageMounts, type WritableLayer } from "./image-mounts.ts";
import { LastUses } from "./last-uses.ts";
import { LayerJobs } from "./layer-jobs.ts";
import { chainIdsOf, LayerStore } from "./layers.ts";
import { removeTemporaryLayoutFiles, writeLayoutFiles } from "./layout-files.ts";
import { type Image, presentImage } from "./present-image.ts";
import { openOrRecover } from "./recover-database.ts";
import { type ImageUser, planRemovalById, planRemovalByName, type RemovalPlan } from "./removal.ts";
import { SnapshotPacker } from "./snapshot-packer.ts";
import { type PackedLayers, packedLayers, Snapshots } from "./snapshots.ts";
import { blobsOf, type StagedImage, Staging, type StoredImage } from "./staging.ts";

export interface ImageLayers {
  /** Host directories for overlay's lowerdir, topmost first; never empty. */
  lowerDirs: string[];
  /** The attributes of the image's "/": an upper directory needs them, since it covers that of the layers. */
  root: RootAttributes;
}

export interface LoadedImage {
  id: Digest;
  /** Familiar names from the archive, "busybox:1": Docker prints "Loaded image: NAME", or the ID if there is none. */
  names: string[];
  /** Names that belonged to another image before. */
  replaced: { name: string; id: Digest }[];
}

export type RemoveRecord = { Untagged: string } | { Deleted: string };

interface OpenOptions {
  platform?: Platform;
  /** The workers that delete; deleting waits for `trash.begin()`. Without them the store has its own, and begins at once. */
  workers?: FileWorkers;
  /** Frees space on a full disk, or returns false. */
  makeRoom?: () => boolean;
  /** True to go on with the copy of a lost or damaged database. */
  recover?: boolean;
}

interface StoreParts {
  rootPath: string;
  lockFd: number;
  workerLockFd: number;
  database: ImageDatabase;
  blobs: BlobStore;
  layers: LayerStore;
  snapshots: Snapshots;
  platform: Platform;
  trash: Trash;
  workers: FileWorkers;
  /** The store's own workers, if it has any. */
  ownWorkers: FileWorkers | undefined;
}

/**
 * The images of one host.
 *
 *   image      a config document with its layers; its ID is the config's digest. It has any number of names, also none.
 *   reference  a name: "docker.io/library/busybox:1", in lists "busybox:1". It means one image, until another gets it.
 *   layer      a directory of unpacked files, shared by all images that have it.
 *   blob       a compressed layer, manifest or config, by its digest.
 *   lease      what a pending change (`Staging`) holds, so that no removal takes it away.
 *
 * Life of an image: staged (its content is leased) → named by one transaction → used by containers, which this store does not
 * know and is told of (`ImageUser`) → its last name and user gone → its row goes, then what no other image needs: layers and
 * blobs go into the trash.
 *
 *   await using store = await ImageStore.open("/var/lib/lighter/image");
 *   const [image] = await store.load({ path: "/tmp/busybox" });
 *   await store.tag(image.id, "mine:latest");
 *   const { lowerDirs } = store.layersOf("mine"); // for overlay's lowerdir, while something keeps the image
 *   await store.remove("mine", { force: false, users: [] });
 *
 * Methods that change something run one after another; those that read answer from memory, at once.
 */
export class ImageStore implements AsyncDisposable {
  readonly #rootPath: string;
  readonly #lockFd: number;
  readonly #workerLockFd: number;
  readonly #database: ImageDatabase;
  readonly #blobs: BlobStore;
  readonly #layers: LayerStore;
  /** Root file systems that no image has. Change them by the store's own methods. */
  readonly snapshots: Snapshots;
  readonly #jobs: LayerJobs;
  readonly platform: Platform;
  readonly trash: Trash;
  readonly #ownWorkers: FileWorkers | undefined;
  readonly #packer: SnapshotPacker;
  readonly #index = new ImageIndex();
  readonly #forms: KnownForms = new Map();
  readonly #content: Content;
  readonly #lastUses: LastUses;
  #lastChange: Promise<unknown> = Promise.resolve();
  /** Images that the database names and that could not be read, each with the reason. */
  readonly damaged: string[] = [];

  /**
   * Opens or makes the store, and removes what an earlier process left unfinished.
   * @throws LighterError ("conflict") if another process has it open; ("invalid") if the path cannot be in a mount option.
   */
  static async open(path: string, options: OpenOptions = {}): Promise<ImageStore> {
    const rootPath = resolve(path);
    if (/[:,\\"\n]/.test(rootPath))
      throw new LighterError(
        "invalid",
        `image store "${rootPath}": the path must not hold any of : , \\ " or a newline`,
        {
          hint: "it becomes part of overlay's mount options",
        },
      );
    mkdirSync(rootPath, { recursive: true, mode: 0o700 });
    const lockFd = openSync(join(rootPath, "lock"), "a", 0o600);
    const workerLockFd = openSync(join(rootPath, "worker-lock"), "a", 0o600);
    const ownWorkers = options.workers === undefined ? new FileWorkers() : undefined;
    let database: ImageDatabase | undefined;
    try {
      if (!(await lockExclusiveWithin(lockFd, DEAD_OWNER_TIMEOUT_MS)))
        throw new LighterError("conflict", `image store "${rootPath}" is in use by another process`);
      await waitForWorkers(workerLockFd);
      removeTemporaryLayoutFiles(rootPath);
      database = openOrRecover(rootPath, options);
      const workers = options.workers ?? ownWorkers!;
      const trash = new Trash(join(rootPath, ".removed"), workers);
      const [blobs, layers] = [await BlobStore.open(rootPath, trash), LayerStore.open(rootPath, database, trash)];
      const snapshots = await Snapshots.open({ rootPath, database, layers, trash });
      const platform = options.platform ?? HOST_PLATFORM;
      const store = new ImageStore({
        ...{ rootPath, lockFd, workerLockFd, database, blobs, layers, snapshots, platform, trash, workers, ownWorkers },
      });
      await store.#read();
      if (ownWorkers !== undefined) trash.begin();
      return store;
    } catch (error) {
      ownWorkers?.[Symbol.dispose]();
      database?.[Symbol.dispose]();
      closeSync(workerLockFd);
      closeSync(lockFd);
      throw error;
    }
  }

  private constructor(parts: StoreParts) {
    this.#rootPath = parts.rootPath;
    this.#lockFd = parts.lockFd;
    this.#workerLockFd = parts.workerLockFd;
    this.#database = parts.database;
    this.#blobs = parts.blobs;
    this.#layers = parts.layers;
    this.snapshots = parts.snapshots;
    this.#content = new Content({ ...parts, index: this.#index });
    this.#lastUses = new LastUses(parts.database);
    this.#jobs = new LayerJobs(parts.blobs, parts.layers, parts.workerLockFd);
    this.platform = parts.platform;
    this.trash = parts.trash;
    this.#ownWorkers = parts.ownWorkers;
    const change = (work: () => Promise<void>) => this.#change(work);
    this.#packer = new SnapshotPacker({ ...parts, jobs: this.#jobs, change });
  }

  /** Gives up loads and pulls, and waits for changes that are being made. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#jobs[Symbol.asyncDispose]();
    while (this.#content.leases.size > 0) await Promise.all([...this.#content.leases].map((staging) => staging.over));
    await this.#lastChange; // never rejected
    this.#lastUses.write();
    this.trash.close();
    this.#ownWorkers?.[Symbol.dispose]();
    this.#database[Symbol.dispose]();
    closeSync(this.#workerLockFd);
    closeSync(this.#lockFd);
  }

  /** Makes changes of the state one after another. Whatever takes long comes before: see `addStaged`. */
  #change<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#lastChange.then(work, work);
    this.#lastChange = result.catch(() => {}); // the caller gets the error
    return result;
  }

  // --- State on disk ---

  async #read(): Promise<void> {
    const references = Map.groupBy(this.#database.references(), ([, id]) => id);
    const forms = this.#database.forms();
    for (const record of this.#database.images()) {
      const names = (references.get(record.id) ?? []).map(([name]) => name);
      try {
        const image = await this.#readImage(record);
        this.#index.add(image);
        for (const name of names) this.#index.setReference(name, image, forms.get(name));
      } catch (error) {
        this.damaged.push(`image ${names[0] ?? record.id}: ${messageOf(error)}`);
      }
    }
    // What a damaged image still has may be worth repairing: it stays until the store is opened without any damage.
    if (this.damaged.length > 0) return;
    try {
      await this.#content.removeGarbage();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      log.error(`remove what no image needs from ${this.#rootPath}: ${messageOf(error)}`);
    }
    await this.#writeLayout();
  }

  async #readImage(record: ImageRecord): Promise<StoredImage> {
    const manifest = parseManifest(await this.#blobs.readDocument(record.manifestDigest), record.manifestDigest);
    const document = parseImageDocument(await this.#blobs.readDocument(record.id), record.id);
    const diffIds = document.rootfs.diff_ids;
    const layers = chainIdsOf(diffIds).map((chainId, index) => {
      const layer = this.#layers.get(diffIds[index]!, chainId);
      if (layer === undefined) throw new LighterError("not-found", `layer ${diffIds[index]} is missing`);
      return layer;
    });
    return { ...record, manifest, document, layers, references: new Set() };
  }

  /** Writes the files for other tools. If that fails, with a full disk, the next change or the next open writes them. */
  async #writeLayout(): Promise<void> {
    try {
      await writeLayoutFiles(this.#rootPath, this.#index.values());
    } catch (error) {
      log.error(`${this.#rootPath}/index.json is out of date: ${messageOf(error)}`);
    }
  }

  // --- Adding images ---

  /**
   * Adds the images that `work` puts together; all of them or, on an error, none. With `keepUnfinished`, complete layers and
   * downloads stay for another try after an error.
   */
  async addStaged<T>(
    options: { keepUnfinished: boolean },
    work: (staging: Staging) => Promise<{ staged: StagedImage[]; result: T }>,
  ): Promise<T> {
    const staging = new Staging(this.#blobs, this.#jobs, await this.#blobs.createIngest());
    this.#content.leases.add(staging);
    let isDone = false;
    try {
      const { staged, result } = await work(staging);
      await this.#change(() => this.#commit(staged));
      isDone = true;
      return result;
    } finally {
      await this.#change(() => this.#content.release(staging, !isDone, options.keepUnfinished));
      await this.#blobs.removeIngest(staging.ingestPath);
      staging.end();
    }
  }

  async #commit(staged: readonly StagedImage[]): Promise<void> {
    const images = staged.map(({ image }) => this.#index.get(image.id) ?? image);
    await this.#blobs.settle(images.flatMap(blobsOf));
    const addLayers = new Set(
      images.flatMap(({ layers }) => layers).filter((layer) => !this.#layers.isCommitted(layer)),
    );
    const addImages = new Set(images.filter(({ id }) => !this.#index.has(id)));
    const setParents = new Map<StoredImage, Digest>();
    for (const [index, { parent }] of staged.entries())
      if (parent !== undefined && images[index]!.parent === undefined) setParents.set(images[index]!, parent);
    const setReferences = new Map<string, StoredImage>();
    for (const [index, { names }] of staged.entries())
      for (const name of names) setReferences.set(formatReference(name), images[index]!);
    writePoint("sync images");
    // Must precede the transaction: what it names must be on the disk.
    const isSyncing = addLayers.size > 0 || addImages.size > 0;
    const syncedSnapshots = isSyncing ? this.snapshots.unsynced() : [];
    if (isSyncing) await syncFileSystem(this.#lockFd);
    this.#database.apply({
      syncedSnapshots,
      addLayers: [...addLayers],
      addImages: [...addImages],
      setParents: new Map([...setParents].map(([{ id }, parent]) => [id, parent])),
      setReferences: new Map([...setReferences].map(([name, { id }]) => [name, id])),
      nextDirectory: this.#layers.nextDirectory,
    });
    this.#layers.setCommitted(addLayers);
    this.snapshots.setSynced(syncedSnapshots);
    for (const image of addImages) this.#index.add(image);
    for (const [image, parent] of setParents) this.#index.setParent(image, parent);
    for (const [name, image] of setReferences) this.#index.setReference(name, image);
    await this.#writeLayout();
  }

  /** Keeps the image's blobs and layers while `work` runs, whatever happens to the image. */
  async hold<T>(image: StoredImage, work: () => Promise<T>): Promise<T> {
    const staging = new Staging(this.#blobs, this.#jobs, "");
    staging.leaseImage(image);
    this.#content.leases.add(staging);
    try {
      return await work();
    } finally {
      await this.#change(async () => {
        this.#content.leases.delete(staging);
        if (this.#index.get(image.id) !== image) await this.#content.removeUnneeded(staging);
      });
      staging.end();
    }
  }

  /**
   * Compresses an image's layers that are plain tars, unless its manifest is a registry's, and keeps them so.
   * @throws LighterError ("invalid", "kernel"); the signal's reason.
   */
  async compressLayers(image: StoredImage, options: CompressOptions): Promise<void> {
    const plain = plainLayersOf(image);
    if (plain.length === 0) return;
    const staging = new Staging(this.#blobs, this.#jobs, await this.#blobs.createIngest());
    staging.leaseImage(image);
    this.#content.leases.add(staging);
    try {
      const parts = { staging, blobs: this.#blobs, jobs: this.#jobs };
      const blobs = await compressBlobs(image, plain, options, parts);
      await this.#change(() => this.#replaceBlobs(image, blobs, staging));
    } finally {
      await this.#change(async () => {
        this.#content.leases.delete(staging);
        await this.#content.removeUnneeded(staging);
      });
      await this.#blobs.removeIngest(staging.ingestPath);
      staging.end();
    }
  }

  async #replaceBlobs(image: StoredImage, blobs: ReadonlyMap<number, CompressedBlob>, staging: Staging): Promise<void> {
    if (this.#index.get(image.id) !== image) return; // it was removed meanwhile
    const { manifest, layers } = withBlobs(image, blobs);
    await staging.putDocument(manifest.bytes, manifest.digest);
    await syncFileSystem(this.#lockFd);
    const changed = { manifest: manifest.parsed, manifestDigest: manifest.digest, manifestSize: manifest.bytes.length };
    this.#database.apply({ addLayers: layers, addImages: [{ ...image, ...changed }] });
    Object.assign(image, changed);
    for (const [index, blob] of blobs) image.layers[index]!.blob = blob;
    await this.#writeLayout();
  }

  /** Notes that a registry's repository has these blobs of an image, after a pull from there or a push to it. */
  async notePlace(image: StoredImage, repository: string, digest: Digest): Promise<void> {
    await this.#change(async () => {
      if (this.#index.get(image.id) !== image) return;
      this.#database.addBlobPlaces(blobsOf(image), repository);
      const name = `${repository}@${digest}`;
      if (image.references.has(name)) return;
      this.#database.apply({ setReferences: new Map([[name, image.id]]) });
      this.#index.setReference(name, image);
    });
  }

  /** The repositories, with their domain, that have had the blob. */
  placesOf(digest: Digest): string[] {
    return this.#database.blobPlaces(digest);
  }

  /**
   * Loads every image of an archive or layout; all of them or, on an error, none.
   * @throws LighterError ("invalid") for anything wrong with the source; ("kernel") with the errno, such as ENOSPC.
   */
  async load(source: ImageSource, onProgress: (progress: LoadProgress) => void = () => {}): Promise<LoadedImage[]> {
    try {
      return await this.addStaged({ keepUnfinished: false }, async (staging) => {
        const files = await this.#openSource(source, staging, onProgress);
        const staged: StagedImage[] = [];
        for (const found of await findImages(files, this.platform))
          staged.push(await this.#stageFound(found, files, staging, onProgress));
        const result = staged.map(({ image, names }) => ({
          id: image.id,
          names: names.map(familiarReference),
          replaced: names.flatMap((name) => {
            const id = this.#index.referenced(name)?.id ?? image.id;
            return id === image.id ? [] : [{ name: familiarReference(name), id }];
          }),
        }));
        return { staged, result };
      });
    } catch (error) {
      throw asLighterError(error, "load image");
    }
  }

  async #openSource(
    source: ImageSource,
    staging: Staging,
    onProgress: (progress: LoadProgress) => void,
  ): Promise<ImageFiles> {
    if ("path" in source && statSync(source.path).isDirectory())
      return new DirectoryFiles(source.path, staging.ingestPath);
    const known = new Map<string, LayerRecord>();
    for (const { layers, document } of this.#index.values())
      for (const [index, layer] of layers.entries())
        if (this.#blobs.has(layer.blob.digest))
          known.set(layer.blob.digest, layer).set(document.rootfs.diff_ids[index]!, layer);
    return await staging.takeArchive(source, known, ({ diffId, currentBytes, totalBytes }) =>
      onProgress({ diffId: diffId as string as Digest, currentBytes, totalBytes, done: false }),
    );
  }

  async #stageFound(
    found: FoundImage,
    files: ImageFiles,
    staging: Staging,
    onProgress: (progress: LoadProgress) => void,
  ): Promise<StagedImage> {
    const known = this.#index.get(found.configDigest);
    const parent = found.parentId === undefined ? {} : { parent: found.parentId };
    const parts = { files, staging, blobs: this.#blobs, layers: this.#layers, onProgress };
    if (known === undefined) return { ...(await stageArchiveImage(found, parts)), ...parent };
    staging.leaseImage(known);
    return { image: known, names: found.references, ...parent };
  }

  // --- Reading ---

  /** The images, newest first, with those that are only steps on the way to others. */
  list(): Image[] {
    const createdMs = (image: Image): number => Date.parse(image.document.created ?? "") || 0;
    return this.#index
      .values()
      .map((image) => presentImage(image, this.#index))
      .sort((a, b) => createdMs(b) - createdMs(a) || (a.id < b.id ? -1 : 1));
  }

  /**
   * Finds an image by name (tag "latest" if none), by id, or by the beginning of an id, as Docker does: names win.
   * @throws LighterError ("not-found": "No such image: x:latest"; "invalid": not a reference, or an ambiguous id).
   */
  get(nameOrId: string): Image {
    return presentImage(this.#index.find(nameOrId).image, this.#index);
  }

  /** The image that a full reference means. */
  referenced(reference: Reference): StoredImage | undefined {
    return this.#index.referenced(reference);
  }

  /** The images for several platforms that a full reference has; none if it means one image alone. */
  formsOf(reference: Reference): StoredImage[] {
    return this.#index.formsOf(formatReference(reference));
  }

  stored(id: Digest): StoredImage | undefined {
    return this.#index.get(id);
  }

  /** All tags of a repository, sorted. */
  tagsOf(repository: Reference): Reference[] {
    return this.#index.tagsOf(repository);
  }

  /** The path of a blob, which exists as long as something needs it. */
  blobPath(digest: Digest): string {
    return this.#blobs.pathOf(digest);
  }

  /** Reads and verifies a document of an image. @throws LighterError ("not-found", "invalid"). */
  readDocument(digest: Digest): Promise<string> {
    return this.#blobs.readDocument(digest);
  }

  /**
   * The host directories of an image or a snapshot, for overlay and for looking files up (`readFileInLayers`). "" is no image, and
   * has no files.
   */
  layersOf(nameOrId: string): ImageLayers {
    const isSnapshot = nameOrId === "" || this.snapshots.has(nameOrId);
    const layers = isSnapshot ? this.snapshots.layersOf(nameOrId) : this.#index.find(nameOrId).image.layers;
    const topFirst = [...layers].reverse();
    const lowerDirs = topFirst.map((layer) => this.#layers.directoryPath(layer.directory));
    return {
      lowerDirs: lowerDirs.length === 0 ? [this.#layers.emptyDirectoryPath] : lowerDirs,
      root: topFirst.find((layer) => layer.root !== undefined)?.root ?? { mode: 0o755, uid: 0, gid: 0 },
    };
  }

  /** The layers that images have. */
  layersOfImages(): Set<LayerRecord> {
    return new Set(this.#index.values().flatMap(({ layers }) => layers));
  }

  /** The path above the directories of all layers. */
  get layersPath(): string {
    return this.#layers.path;
  }

  /**
   * The rootfs of a container of this image: one overlay mount, whose options go to mount(2) as one string.
   * @throws LighterError ("not-supported") if the options exceed the page that mount(2) takes.
   */
  mountsFor(nameOrId: string, writable: WritableLayer): OciMount[] {
    return planImageMounts(nameOrId, this.layersOf(nameOrId).lowerDirs, writable);
  }

  /** Whether there is an image of that name or id. */
  isThere(nameOrId: string): boolean {
    try {
      this.#index.find(nameOrId);
      return true;
    } catch (error) {
      if (error instanceof LighterError && error.code === "not-found") return false;
      throw error;
    }
  }

  // --- Snapshots ---

  /**
   * Makes a tar of each layer of the snapshot that has none, so that an image can have it. Resolves with the layers, for an image
   * that is made while the caller holds the snapshot. Files that were changed later than `maxMtimeSeconds` are said to have
   * been changed then.
   */
  async packSnapshot(id: string, maxMtimeSeconds?: number): Promise<PackedLayers> {
    const layers = this.snapshots.layersOf(id);
    using _held = this.snapshots.hold(id);
    await Promise.all(layers.map((layer) => this.#packer.pack(layer, maxMtimeSeconds)));
    return packedLayers(layers);
  }

  /** Makes a snapshot of layers, lowest first, unless it is there. Those that the store lacks are fetched. Resolves with what holds it. */
  async fetchSnapshot(id: string, layers: readonly FetchedLayer[], signal: AbortSignal): Promise<Disposable> {
    return await this.addStaged({ keepUnfinished: true }, async (staging) => {
      const diffIds = layers.map(({ diffId }) => diffId);
      const known = chainIdsOf(diffIds).map((chainId, index) => this.#layers.get(diffIds[index]!, chainId));
      const records = await fetchLayers(layers, known, staging, signal);
      if (!this.snapshots.has(id)) this.snapshots.addLayers(id, records, diffIds);
      return { staged: [], result: this.snapshots.hold(id) };
    });
  }

  /** Lends layers in a form for elsewhere. What is made for it is removed when `use` has ended. */
  async withForms<T>(form: LayerForm, use: (layers: FormedLayers) => Promise<T>): Promise<T> {
    const parts = { jobs: this.#jobs, blobs: this.#blobs, known: this.#forms };
    const ingestPath = await this.#blobs.createIngest();
    try {
      return await use(new FormedLayers(form, ingestPath, parts));
    } finally {
      await this.#blobs.removeIngest(ingestPath);
    }
  }

  /** Measures the layers of the snapshot that nobody has measured. */
  async measureSnapshot(id: string): Promise<void> {
    using _held = this.snapshots.hold(id);
    await this.#packer.measure(this.snapshots.layersOf(id));
  }

  /** Forgets snapshots that nobody holds, and removes what nothing else needs. */
  removeSnapshots(ids: readonly string[]): Promise<void> {
    return this.#change(async () => {
      const had = new Set(await this.snapshots.remove(ids));
      const free = this.#content.freeLayers().filter((layer) => had.has(layer));
      await this.#content.removeLayers(free);
      await this.#content.removeBlobs(free.map(({ blob }) => blob.digest));
    });
  }

  // --- Changing names, removing ---

  /**
   * Gives an image another name, taking it from the image that had it. What is given by its name keeps its forms.
   * @throws LighterError.
   */
  tag(nameOrId: string, name: string): Promise<void> {
    return this.#tag(nameOrId, name, () => {
      const { image, byId } = this.#index.find(nameOrId);
      const ids = byId ? [] : this.formsOf(withDefaultTag(parseReference(nameOrId))).map(({ id }) => id);
      return ids.includes(image.id) ? ids : [];
    });
  }

  /** Gives a name to the image `id` and its forms for several platforms, of which it is one. @throws LighterError. */
  tagForms(id: Digest, forms: readonly Digest[], name: string): Promise<void> {
    return this.#tag(id, name, () => forms);
  }

  #tag(nameOrId: string, name: string, formsOf: () => readonly Digest[]): Promise<void> {
    return this.#change(async () => {
      const { image } = this.#index.find(nameOrId);
      const forms = formsOf();
      const reference = withDefaultTag(parseReference(name));
      if (reference.digest !== undefined)
        throw new LighterError("invalid", "refusing to create a tag with a digest reference");
      const fullName = formatReference(reference);
      const setForms = new Map(forms.length > 1 ? [[fullName, forms]] : []);
      this.#database.apply({ setReferences: new Map([[fullName, image.id]]), setForms });
      this.#index.setReference(fullName, image, forms);
      await this.#writeLayout();
    });
  }

  /**
   * Docker's `rmi`. By name, it removes the name, and the image with its last name; by id, the image with all its names. `users`
   * are all containers. An image that a stopped container holds loses its names when forced, and its content stays until a
   * removal without that container (Docker deletes it and lets the container keep the layers). An image from which others were made
   * loses its names alone. With `parents`, the images that it was made from go with it, up to one that has a name or another user.
   * @throws LighterError ("not-found", "conflict") with Docker's wording.
   */
  remove(
    nameOrId: string,
    { force, users: all, parents = false }: { force: boolean; users: readonly ImageUser[]; parents?: boolean },
  ): Promise<RemoveRecord[]> {
    return this.#change(async () => {
      const { image, byId } = this.#index.find(nameOrId);
      const users = all.filter((user) => user.imageId === image.id);
      const described = { ...image, hasChildren: this.#index.hasChildren(image.id) };
      const plan = byId
        ? planRemovalById(described, users, force)
        : planRemovalByName(described, nameOrId, users, force);
      const forms = plan.names.flatMap((each) => this.#index.formsOf(each));
      const records = await this.#removePlanned(image, plan);
      for (const form of forms)
        if (this.#isUnneeded(form, all))
          records.push(...(await this.#removePlanned(form, { names: [], deletesImage: true })));
      if (!parents || !plan.deletesImage) return records;
      for (const parent of this.#unneededAbove(image, all))
        records.push(...(await this.#removePlanned(parent, { names: [], deletesImage: true })));
      return records;
    });
  }

  #isUnneeded({ id, references }: StoredImage, users: readonly ImageUser[]): boolean {
    if (references.size > 0 || !this.#index.has(id) || this.#index.hasChildren(id)) return false;
    return !this.#index.isForm(id) && !users.some(({ imageId }) => imageId === id);
  }

  /** Yields the images that a removed one was made from and that nothing else needs; each is removed before the next is sought. */
  *#unneededAbove({ parent }: StoredImage, users: readonly ImageUser[]): Generator<StoredImage> {
    for (let id = parent; id !== undefined; ) {
      const image: StoredImage | undefined = this.#index.get(id);
      if (image === undefined || !this.#isUnneeded(image, users)) return;
      yield image;
      id = image.parent;
    }
  }

  async #removePlanned(image: StoredImage, plan: RemovalPlan): Promise<RemoveRecord[]> {
    const records: RemoveRecord[] = plan.names.map((name) => ({ Untagged: familiarReference(parseReference(name)) }));
    if (!plan.deletesImage) {
      this.#database.apply({ deleteReferences: plan.names });
      for (const name of plan.names) this.#index.deleteReference(name);
      await this.#writeLayout();
      return records;
    }
    const kept = new Set(this.#content.freeLayers()); // these are from failed pulls, not of this image
    this.#index.delete(image.id);
    const layers = this.#content.freeLayers().filter((layer) => !kept.has(layer));
    const changes: Changes = {
      deleteReferences: plan.names,
      deleteImages: [image.id],
      deleteLayers: layers.map(({ key }) => key),
    };
    try {
      this.#database.apply(changes);
    } catch (error) {
      this.#index.add(image);
      throw error;
    }
    for (const name of plan.names) this.#index.deleteReference(name);
    records.push({ Deleted: image.id });
    const chainIds = chainIdsOf(image.document.rootfs.diff_ids);
    for (const [index, layer] of [...image.layers.entries()].reverse())
      if (layers.includes(layer)) records.push({ Deleted: chainIds[index]! as string as Digest });
    // All are removed from sight at once: a pull that begins now must not use what is being removed.
    await Promise.all([this.#layers.remove(layers), this.#content.removeBlobs(blobsOf(image)), this.#writeLayout()]);
    return records;
  }

  /** Removes images that have no name and that no container holds (`image prune`), and what failed pulls have left. */
  async prune(users: readonly ImageUser[]): Promise<RemoveRecord[]> {
    const records: RemoveRecord[] = [];
    for (const { id } of this.#index.values().filter((image) => this.#isUnneeded(image, users)))
      records.push(...(await this.remove(id, { force: false, users, parents: true })));
    await this.#change(async () => {
      const layers = this.#content.freeLayers();
      await this.#content.removeLayers(layers);
      await this.#content.removeBlobs(layers.map(({ blob }) => blob.digest));
      await this.#blobs.removePartials((digest) => this.#content.usedBlobs().has(digest));
    });
    return records;
  }

  // --- Use ---

  /** Notes that a container is made or started from the image. */
  markUsed(id: string): void {
    const image = this.#index.get(id as Digest);
    if (image === undefined) return;
    image.lastUsedAtMs = Date.now();
    this.#lastUses.note(image.id, image.lastUsedAtMs);
  }

  /** The disk space that the store takes, and each image's part of it. */
  diskUsage(): DiskUsage {
    return computeDiskUsage(this.#index.values(), [...this.#layers.records()], this.#blobs.sizeBytes());
  }

  // --- Images made here, and out again ---

  /** How many layers are fetched and unpacked at a time; undefined suits the machine. */
  set maxLayersAtOnce(count: number | undefined) {
    this.#jobs.maxAtOnce = count;
  }

  /** Opens the file of a stored blob; the caller closes it. @throws Node's error if it cannot be read. */
  openBlob(digest: Digest): number {
    return openSync(this.#blobs.pathOf(digest), "r");
  }

  /** The unpacked bytes of each layer, lowest first. */
  layerSizesOf(id: string): number[] {
    return this.#index.find(id).image.layers.map((layer) => layer.sizeBytes);
  }

  /**
   * Stores an image that `make` describes, with a new layer. The layers of the image `baseId` stay meanwhile, and need not be
   * among the files.
   * @throws LighterError as `load`, and what `make` throws.
   */
  async add(
    baseId: Digest | undefined,
    make: (
      base: Image | undefined,
      makeLayer: Staging["makeLayer"],
    ) => Promise<{ found: FoundImage; files: ImageFiles }>,
  ): Promise<Digest> {
    return await this.addStaged({ keepUnfinished: false }, async (staging) => {
      const base = baseId === undefined ? undefined : this.#index.find(baseId).image;
      if (base !== undefined) staging.leaseImage(base);
      const { found, files } = await make(base && presentImage(base, this.#index), (source) =>
        staging.makeLayer(source),
      );
      const staged = await this.#stageFound(found, files, staging, () => {});
      return { staged: [staged], result: found.configDigest };
    });
  }

  /** Stores images whose layers the store has, in one transaction. @throws LighterError */
  async addAll(found: readonly FoundImage[], files: ImageFiles): Promise<void> {
    await this.addStaged({ keepUnfinished: false }, async (staging) => {
      const staged: StagedImage[] = [];
      for (const each of found) staged.push(await this.#stageFound(each, files, staging, () => {}));
      return { staged, result: undefined };
    });
  }
}

/**
 * Waits for an earlier daemon's workers. A killed daemon takes them along, but they are not gone at once, and may still be
 * writing.
 */
async function waitForWorkers(workerLockFd: number): Promise<void> {
  if (!(await lockExclusiveWithin(workerLockFd, WORKERS_END_TIMEOUT_MS)))
    throw new LighterError("unavailable", "layer workers of an earlier daemon have not ended yet");
}

function asLighterError(error: unknown, what: string): LighterError {
  if (error instanceof LighterError) {
    return new LighterError(error.code, `${what}: ${error.message}`, { ...error.detail, cause: error });
  }
  const errno = errnoOf(error);
  return errno === ""
    ? new LighterError("internal", `${what}: ${messageOf(error)}`, { cause: error })
    : new LighterError("kernel", `${what}: ${messageOf(error)}`, { errno, cause: error });
}
