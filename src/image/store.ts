/**
 * The image store, one directory:
 *
 *   oci-layout, index.json, blobs/   an OCI image layout, readable by any tool. index.json is the list of images: one
 *                                    descriptor for each name, with the full reference in org.opencontainers.image.ref.name,
 *                                    or one without the annotation for an image that has no name
 *   layers.json, l/                  the unpacked layers (layers.ts)
 *   ingest/                          unfinished files, emptied when the store is opened
 *   lock                             flock(2): one process at a time
 *
 * Names live in index.json and not in a database, so that there is one truth about which images exist, it changes by one
 * rename(2), and the layout is complete for others. What neither index.json nor layers.json names is garbage, and goes
 * when the store is opened; so every change writes content first, then syncs it, then renames the list that names it.
 */
import { closeSync, createReadStream, existsSync, mkdirSync, openSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { errnoOf, LighterError, messageOf } from "../base/errors.ts";
import type { ChainId, Digest } from "../base/ids.ts";
import { IMAGE_JSON_MAX_BYTES, MOUNT_DATA_MAX_BYTES } from "../base/limits.ts";
import { tryLockExclusive } from "../linux/sys/fs.ts";
import { syncFileSystem } from "../linux/sys/syncfs.ts";
import {
  type Descriptor,
  type ImageDocument,
  type ImageManifest,
  MEDIA_TYPE,
  type Platform,
  parseImageDocument,
  parseIndex,
  parseManifest,
  REF_NAME_ANNOTATION,
} from "../spec/oci-image.ts";
import type { OciMount } from "../spec/oci-runtime.ts";
import { DirectoryFiles, type ImageFiles, spoolArchive } from "./archive.ts";
import { BlobStore, digestOf, type IngestedFile, readFileLimited } from "./blobs.ts";
import { detectCompression, readHead } from "./compression.ts";
import { writeFileDurably } from "./durable.ts";
import { chainIdsOf, type LayerRecord, LayerStore, type RootAttributes } from "./layers.ts";
import { type FoundImage, findImages } from "./load.ts";
import {
  familiarReference,
  formatReference,
  isSameRepository,
  parseReference,
  type Reference,
  withDefaultTag,
} from "./reference.ts";

export interface Image {
  /** Digest of the config document. */
  id: Digest;
  manifestDigest: Digest;
  manifestSize: number;
  manifest: ImageManifest;
  document: ImageDocument;
  /** One for each layer, lowest first. */
  chainIds: ChainId[];
  /** Unpacked file bytes of all layers. */
  sizeBytes: number;
  /** Familiar names with tag, "hello:latest", sorted. */
  repoTags: string[];
  /** Familiar names with digest, sorted. */
  repoDigests: string[];
}

export interface ImageLayers {
  /** Host directories for overlay's lowerdir, topmost first; never empty. */
  lowerDirs: string[];
  /** What "/" of the image is: whoever makes the upper directory gives it these, for it covers those of the layers. */
  root: RootAttributes;
}

/** Of one container. `upperPath` and `workPath` must exist, on one file system. */
export interface WritableLayer {
  upperPath: string;
  workPath: string;
  /** A layer below the image's. */
  basePath?: string;
}

export interface LoadedImage {
  id: Digest;
  /** Familiar names the archive gave it, "busybox:1": Docker prints "Loaded image: NAME", or the ID if there is none. */
  names: string[];
}

export type LoadProgress = {
  /** A layer being unpacked. */
  diffId: Digest;
  /** Bytes of unpacked tar so far. `done` with the last call for the layer. */
  unpackedBytes: number;
  done: boolean;
};

/** Bytes of a tar as a stream or open file; or the path of a tar or of an OCI layout directory. */
export type ImageSource = AsyncIterable<Uint8Array> | { fd: number } | { path: string };

/** A container, as far as deleting images is concerned. */
export interface ImageUser {
  containerId: string;
  imageId: string;
  isRunning: boolean;
}

export type RemoveRecord = { Untagged: string } | { Deleted: string };

export interface OpenOptions {
  platform?: Platform;
}

const HOST_PLATFORM: Platform = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };

interface StoredImage {
  id: Digest;
  manifestDigest: Digest;
  manifestSize: number;
  manifestMediaType: string;
  manifest: ImageManifest;
  document: ImageDocument;
  layers: LayerRecord[];
  /** Full references. */
  references: Set<string>;
}

/** An image to be stored: documents and layers are in place, nothing names them yet. */
interface StagedImage {
  image: StoredImage;
  names: Reference[];
}

export class ImageStore implements AsyncDisposable {
  readonly #rootPath: string;
  readonly #lockFd: number;
  readonly #blobs: BlobStore;
  readonly #layers: LayerStore;
  readonly #platform: Platform;
  readonly #images = new Map<Digest, StoredImage>();
  /** Full reference to image. */
  readonly #references = new Map<string, StoredImage>();
  #lastChange: Promise<unknown> = Promise.resolve();
  /** Images that index.json names and that could not be read, each with its reason. */
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
    try {
      if (!tryLockExclusive(lockFd))
        throw new LighterError("conflict", `image store "${rootPath}" is in use by another process`);
      // A temp file of a process that was killed; the file it was to replace is whole.
      for (const name of ["oci-layout", "index.json", "layers.json"])
        rmSync(join(rootPath, `${name}.tmp`), { force: true });
      const [blobs, layers] = [await BlobStore.open(rootPath), await LayerStore.open(rootPath)];
      const store = new ImageStore(rootPath, lockFd, blobs, layers, options.platform ?? HOST_PLATFORM);
      await store.#read();
      return store;
    } catch (error) {
      closeSync(lockFd);
      throw error;
    }
  }

  private constructor(rootPath: string, lockFd: number, blobs: BlobStore, layers: LayerStore, platform: Platform) {
    this.#rootPath = rootPath;
    this.#lockFd = lockFd;
    this.#blobs = blobs;
    this.#layers = layers;
    this.#platform = platform;
  }

  /** Waits for changes under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lastChange.catch(() => {});
    closeSync(this.#lockFd);
  }

  /** Changes go one after another: two loads of one layer do the work once, and no layer is removed while it is taken up. */
  #change<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#lastChange.then(work, work);
    this.#lastChange = result.catch(() => {});
    return result;
  }

  // --- State on disk ---

  get #indexPath(): string {
    return join(this.#rootPath, "index.json");
  }

  async #read(): Promise<void> {
    const layoutPath = join(this.#rootPath, "oci-layout");
    if (!existsSync(layoutPath)) await writeFileDurably(layoutPath, '{"imageLayoutVersion":"1.0.0"}');
    if (existsSync(this.#indexPath)) {
      const text = (await readFileLimited(this.#indexPath, 16 * IMAGE_JSON_MAX_BYTES, this.#indexPath)).toString(
        "utf8",
      );
      for (const descriptor of parseIndex(text, this.#indexPath).manifests) await this.#readImage(descriptor);
    } else {
      await this.#writeIndex();
    }
    // What a damaged image still has may be worth mending: it stays until the store is opened without any damage.
    if (this.damaged.length === 0) await this.#removeGarbage();
  }

  async #readImage(descriptor: Descriptor): Promise<void> {
    const name = descriptor.annotations?.[REF_NAME_ANNOTATION];
    try {
      let image = [...this.#images.values()].find((other) => other.manifestDigest === descriptor.digest);
      if (image === undefined) {
        const manifest = parseManifest(await this.#blobs.readDocument(descriptor.digest), descriptor.digest);
        const id = manifest.config.digest;
        const document = parseImageDocument(await this.#blobs.readDocument(id), id);
        image = {
          id,
          manifestDigest: descriptor.digest,
          manifestSize: descriptor.size,
          manifestMediaType: descriptor.mediaType,
          manifest,
          document,
          layers: this.#layersOfDocument(document),
          references: new Set(),
        };
        this.#images.set(id, image);
      }
      if (name !== undefined) this.#setReference(name, image);
    } catch (error) {
      this.damaged.push(`image ${name ?? descriptor.digest}: ${messageOf(error)}`);
    }
  }

  #layersOfDocument(document: ImageDocument): LayerRecord[] {
    const diffIds = document.rootfs.diff_ids;
    return chainIdsOf(diffIds).map((chainId, index) => {
      const record = this.#layers.get(diffIds[index]!, chainId);
      if (record === undefined) throw new LighterError("not-found", `layer ${diffIds[index]} is missing`);
      return record;
    });
  }

  #setReference(name: string, image: StoredImage): void {
    this.#references.get(name)?.references.delete(name);
    this.#references.set(name, image);
    image.references.add(name);
  }

  #deleteReference(name: string): void {
    this.#references.get(name)?.references.delete(name);
    this.#references.delete(name);
  }

  async #writeIndex(): Promise<void> {
    const manifests: Descriptor[] = [];
    for (const image of this.#images.values()) {
      const { architecture, os } = image.document;
      const descriptor: Descriptor = {
        mediaType: image.manifestMediaType,
        digest: image.manifestDigest,
        size: image.manifestSize,
        platform: { architecture, os },
      };
      if (image.references.size === 0) manifests.push(descriptor);
      for (const name of image.references)
        manifests.push({ ...descriptor, annotations: { [REF_NAME_ANNOTATION]: name } });
    }
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests };
    await writeFileDurably(this.#indexPath, `${JSON.stringify(index, undefined, 1)}\n`);
  }

  /** Blobs and layers that no image names: of a load that was killed. */
  async #removeGarbage(): Promise<void> {
    const layers = this.#unusedLayers();
    if (layers.length > 0) await this.#layers.remove(layers);
    await this.#blobs.removeAllBut(this.#usedBlobs());
  }

  #usedBlobs(): Set<Digest> {
    const used = new Set<Digest>();
    for (const image of this.#images.values()) {
      used.add(image.manifestDigest).add(image.id);
      for (const layer of image.manifest.layers) used.add(layer.digest);
    }
    return used;
  }

  #unusedLayers(): LayerRecord[] {
    const used = new Set<LayerRecord>();
    for (const image of this.#images.values()) for (const layer of image.layers) used.add(layer);
    return [...this.#layers.records()].filter((layer) => !used.has(layer));
  }

  async #syncDisk(): Promise<void> {
    await syncFileSystem(this.#lockFd);
  }

  // --- Loading ---

  /**
   * Loads every image of an archive or layout; all of them or, on an error, none.
   * @throws LighterError ("invalid") for anything wrong with the source; ("kernel") with the errno, such as ENOSPC.
   */
  async load(source: ImageSource, onProgress: (progress: LoadProgress) => void = () => {}): Promise<LoadedImage[]> {
    const ingestPath = await this.#blobs.createIngest();
    try {
      const files = await openSource(source, ingestPath);
      const found = await findImages(files, this.#platform);
      return await this.#change(() => this.#import(found, files, ingestPath, onProgress));
    } catch (error) {
      throw asLighterError(error, "load image");
    } finally {
      await this.#blobs.removeIngest(ingestPath);
    }
  }

  async #import(
    found: readonly FoundImage[],
    files: ImageFiles,
    ingestPath: string,
    onProgress: (progress: LoadProgress) => void,
  ): Promise<LoadedImage[]> {
    const added = new Added();
    try {
      const staged: StagedImage[] = [];
      for (const image of found) staged.push(await this.#stage(image, files, ingestPath, added, onProgress));
      await this.#syncDisk(); // must precede the lists: what they name has to be there
      if (added.layers.length > 0) await this.#layers.commit();
      return await this.#name(staged);
    } catch (error) {
      for (const layer of added.layers) await this.#layers.discard(layer);
      for (const digest of added.blobs) await this.#blobs.remove(digest);
      throw error;
    }
  }

  /** Puts blobs and layers of one image in place. */
  async #stage(
    found: FoundImage,
    files: ImageFiles,
    ingestPath: string,
    added: Added,
    onProgress: (progress: LoadProgress) => void,
  ): Promise<StagedImage> {
    const known = this.#images.get(found.configDigest);
    if (known !== undefined) return { image: known, names: found.references };
    const diffIds = found.document.rootfs.diff_ids;
    const chainIds = chainIdsOf(diffIds);
    const records: LayerRecord[] = [];
    const descriptors: Descriptor[] = [];
    for (const [index, layer] of found.layers.entries()) {
      const diffId = diffIds[index]!;
      let record = this.#layers.get(diffId, chainIds[index]!);
      const isStored = record !== undefined && this.#blobs.has(layer.digest ?? record.blob.digest);
      const blob = isStored ? record!.blob : await this.#stageBlob(layer, files, added);
      if (record === undefined) {
        const lower = records.map((lowerRecord) => this.#layers.directoryPath(lowerRecord.directory)).reverse();
        let unpackedBytes = 0;
        const report = (byteCount: number): void => {
          unpackedBytes += byteCount;
          onProgress({ diffId: diffId as string as Digest, unpackedBytes, done: false });
        };
        record = await this.#layers.unpack(
          diffId,
          chainIds[index]!,
          blob,
          this.#blobs.pathOf(blob.digest),
          lower,
          report,
        );
        added.layers.push(record);
        onProgress({ diffId: diffId as string as Digest, unpackedBytes, done: true });
      }
      records.push(record);
      descriptors.push(blob);
    }
    await this.#stageDocument(ingestPath, found.configBytes, found.configDigest, added);
    const manifest = found.manifest ?? makeManifest(found, descriptors);
    await this.#stageDocument(ingestPath, manifest.bytes, manifest.digest, added);
    const image: StoredImage = {
      id: found.configDigest,
      manifestDigest: manifest.digest,
      manifestSize: manifest.bytes.length,
      manifestMediaType: manifest.parsed.mediaType ?? MEDIA_TYPE.ociManifest,
      manifest: manifest.parsed,
      document: found.document,
      layers: records,
      references: new Set(),
    };
    return { image, names: found.references };
  }

  async #stageBlob(layer: FoundImage["layers"][number], files: ImageFiles, added: Added): Promise<Descriptor> {
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
    if (!this.#blobs.has(file.digest)) {
      await this.#blobs.adopt(file);
      added.blobs.push(file.digest);
    }
    return { mediaType, digest: file.digest, size: file.sizeBytes };
  }

  async #stageDocument(ingestPath: string, bytes: Uint8Array, digest: Digest, added: Added): Promise<void> {
    if (this.#blobs.has(digest)) return;
    await this.#blobs.put(ingestPath, bytes, digest);
    added.blobs.push(digest);
  }

  /** Makes staged images known, in memory and in index.json. */
  async #name(staged: readonly StagedImage[]): Promise<LoadedImage[]> {
    const [imagesBefore, referencesBefore] = [new Map(this.#images), new Map(this.#references)];
    try {
      for (const { image, names } of staged) {
        const known = this.#images.get(image.id) ?? image;
        this.#images.set(known.id, known);
        for (const name of names) this.#setReference(formatReference(name), known);
      }
      await this.#writeIndex();
    } catch (error) {
      this.#restore(imagesBefore, referencesBefore);
      throw error;
    }
    return staged.map(({ image, names }) => ({ id: image.id, names: names.map(familiarReference) }));
  }

  #restore(images: ReadonlyMap<Digest, StoredImage>, references: ReadonlyMap<string, StoredImage>): void {
    this.#images.clear();
    this.#references.clear();
    for (const [id, image] of images) {
      image.references.clear();
      this.#images.set(id, image);
    }
    for (const [name, image] of references) this.#setReference(name, image);
  }

  // --- Reading ---

  #present(image: StoredImage): Image {
    const references = [...image.references].map(parseReference);
    const names = (hasDigest: boolean): string[] =>
      references
        .filter((reference) => (reference.digest !== undefined) === hasDigest)
        .map(familiarReference)
        .sort();
    return {
      id: image.id,
      manifestDigest: image.manifestDigest,
      manifestSize: image.manifestSize,
      manifest: image.manifest,
      document: image.document,
      chainIds: chainIdsOf(image.document.rootfs.diff_ids),
      sizeBytes: image.layers.reduce((sum, layer) => sum + layer.sizeBytes, 0),
      repoTags: names(false),
      repoDigests: names(true),
    };
  }

  /** Newest first. */
  list(): Image[] {
    const createdMs = (image: Image): number => Date.parse(image.document.created ?? "") || 0;
    return [...this.#images.values()]
      .map((image) => this.#present(image))
      .sort((a, b) => createdMs(b) - createdMs(a) || (a.id < b.id ? -1 : 1));
  }

  /**
   * By name (tag "latest" if none), by id, or by the beginning of an id, as Docker looks images up: names win.
   * @throws LighterError ("not-found": "No such image: x:latest"; "invalid": not a reference, or an ambiguous id).
   */
  get(nameOrId: string): Image {
    return this.#present(this.#find(nameOrId).image);
  }

  #find(nameOrId: string): { image: StoredImage; byId: boolean } {
    const asId = /^(?:sha256:)?([0-9a-f]{64})$/.exec(nameOrId);
    if (asId !== null) {
      const image = this.#images.get(`sha256:${asId[1]}` as Digest);
      if (image === undefined) throw noSuchImage(nameOrId);
      return { image, byId: true };
    }
    const reference = withDefaultTag(parseReference(nameOrId));
    const named = this.#findReference(reference);
    if (named !== undefined) return { image: named, byId: false };
    const prefix = /^(?:sha256:)?([0-9a-f]{1,64})$/.exec(nameOrId)?.[1];
    const matches =
      prefix === undefined ? [] : [...this.#images.values()].filter((image) => image.id.startsWith(`sha256:${prefix}`));
    if (matches.length > 1) throw new LighterError("invalid", `image id prefix "${nameOrId}" is ambiguous`);
    if (matches[0] === undefined) throw noSuchImage(familiarReference(reference));
    return { image: matches[0], byId: true };
  }

  #findReference(reference: Reference): StoredImage | undefined {
    const exact = this.#references.get(formatReference(reference));
    if (exact !== undefined || reference.digest === undefined) return exact;
    // "name:tag@digest" means the digest; Docker ignores the tag.
    const { domain, path, digest } = reference;
    return this.#references.get(formatReference({ domain, path, digest }));
  }

  /** The config document's bytes, verbatim. */
  async readConfigDocument(id: Digest): Promise<string> {
    return this.#blobs.readDocument(id);
  }

  /** The image's host directories, for overlay and for looking files up (`readFileInLayers`). */
  layersOf(nameOrId: string): ImageLayers {
    const { layers } = this.#find(nameOrId).image;
    const topFirst = [...layers].reverse();
    const lowerDirs = topFirst.map((layer) => this.#layers.directoryPath(layer.directory));
    return {
      lowerDirs: lowerDirs.length === 0 ? [this.#layers.emptyDirectoryPath] : lowerDirs,
      root: topFirst.find((layer) => layer.root !== undefined)?.root ?? { mode: 0o755, uid: 0, gid: 0 },
    };
  }

  /**
   * The rootfs of a container of this image: one overlay mount, whose options go to mount(2) as one string.
   * @throws LighterError ("not-supported") if they exceed the page that mount(2) takes.
   */
  mountsFor(nameOrId: string, { upperPath, workPath, basePath }: WritableLayer): OciMount[] {
    const { lowerDirs } = this.layersOf(nameOrId);
    const lower = basePath === undefined ? lowerDirs : [...lowerDirs, basePath];
    const options = [`lowerdir=${lower.join(":")}`, `upperdir=${upperPath}`, `workdir=${workPath}`];
    const byteCount = Buffer.byteLength(options.join(","));
    if (byteCount > MOUNT_DATA_MAX_BYTES)
      throw new LighterError(
        "not-supported",
        `image "${nameOrId}" has ${lowerDirs.length} layers: overlay's mount options need ${byteCount} bytes, above the limit of ${MOUNT_DATA_MAX_BYTES}`,
        { hint: "use a data directory with a shorter path" },
      );
    return [{ destination: "/", type: "overlay", source: "overlay", options }];
  }

  // --- Changing names, removing ---

  /** Gives an image another name, taking it from the image that had it. @throws LighterError. */
  tag(nameOrId: string, name: string): Promise<void> {
    return this.#change(async () => {
      const { image } = this.#find(nameOrId);
      const reference = withDefaultTag(parseReference(name));
      if (reference.digest !== undefined)
        throw new LighterError("invalid", "refusing to create a tag with a digest reference");
      await this.#rename(() => this.#setReference(formatReference(reference), image));
    });
  }

  async #rename(change: () => void): Promise<void> {
    const [imagesBefore, referencesBefore] = [new Map(this.#images), new Map(this.#references)];
    try {
      change();
      await this.#writeIndex();
    } catch (error) {
      this.#restore(imagesBefore, referencesBefore);
      throw error;
    }
  }

  /**
   * Docker's `rmi`: by name, takes the name away, and the image with its last name; by id, the image with all its names.
   * `users` are all containers. An image that a stopped container holds loses its names when forced, and its content
   * stays until a removal without that container (Docker deletes it and lets the container keep the layers).
   * @throws LighterError ("not-found", "conflict") with Docker's wording.
   */
  remove(nameOrId: string, options: { force: boolean; users: readonly ImageUser[] }): Promise<RemoveRecord[]> {
    return this.#change(async () => {
      const { image, byId } = this.#find(nameOrId);
      const users = options.users.filter((user) => user.imageId === image.id);
      const plan = byId
        ? planRemovalById(image, users, options.force)
        : planRemovalByName(image, withDefaultTag(parseReference(nameOrId)), users, options.force);
      return await this.#removePlanned(image, plan);
    });
  }

  async #removePlanned(image: StoredImage, plan: RemovalPlan): Promise<RemoveRecord[]> {
    const records: RemoveRecord[] = plan.names.map((name) => ({ Untagged: familiarReference(parseReference(name)) }));
    await this.#rename(() => {
      for (const name of plan.names) this.#deleteReference(name);
      if (plan.deletesImage) this.#images.delete(image.id);
    });
    if (!plan.deletesImage) return records;
    records.push({ Deleted: image.id });
    const unused = new Set(this.#unusedLayers());
    const chainIds = chainIdsOf(image.document.rootfs.diff_ids);
    for (const [index, layer] of [...image.layers.entries()].reverse())
      if (unused.has(layer)) records.push({ Deleted: chainIds[index]! as string as Digest });
    if (unused.size > 0) await this.#layers.remove([...unused]);
    const usedBlobs = this.#usedBlobs();
    const blobs = [image.manifestDigest, image.id, ...image.manifest.layers.map((layer) => layer.digest)];
    for (const digest of blobs) if (!usedBlobs.has(digest)) await this.#blobs.remove(digest);
    return records;
  }

  /** Images without a name that no container holds are removed (`image prune`). */
  async prune(users: readonly ImageUser[]): Promise<RemoveRecord[]> {
    const held = new Set(users.map((user) => user.imageId));
    const dangling = [...this.#images.values()].filter((image) => image.references.size === 0 && !held.has(image.id));
    const records: RemoveRecord[] = [];
    for (const image of dangling) records.push(...(await this.remove(image.id, { force: false, users })));
    return records;
  }
}

interface RemovalPlan {
  /** Full references to take away. */
  names: string[];
  deletesImage: boolean;
}

function short(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}

function conflict(message: string): LighterError {
  return new LighterError("conflict", `conflict: ${message}`);
}

/** At most one tag, and nothing outside its repository: then the image goes with it. */
function hasOneReference(image: StoredImage): boolean {
  const references = [...image.references].map(parseReference);
  const tags = references.filter((reference) => reference.digest === undefined);
  return tags.length <= 1 && references.every((reference) => isSameRepository(reference, references[0]!));
}

function planRemovalByName(
  image: StoredImage,
  reference: Reference,
  users: readonly ImageUser[],
  force: boolean,
): RemovalPlan {
  const name = formatReference(reference);
  const isLast = hasOneReference(image);
  const user = users[0];
  if (isLast && user !== undefined && !force)
    throw conflict(
      `unable to remove repository reference "${familiarReference(reference)}" (must force) - container ${short(user.containerId)} is using its referenced image ${short(image.id)}`,
    );
  if (!isLast) return { names: image.references.has(name) ? [name] : [], deletesImage: false };
  return { names: [...image.references], deletesImage: user === undefined };
}

function planRemovalById(image: StoredImage, users: readonly ImageUser[], force: boolean): RemovalPlan {
  const unable = `unable to delete ${short(image.id)}`;
  const running = users.find((user) => user.isRunning);
  if (running !== undefined)
    throw conflict(
      `${unable} (cannot be forced) - image is being used by running container ${short(running.containerId)}`,
    );
  if (!force && !hasOneReference(image))
    throw conflict(`${unable} (must be forced) - image is referenced in multiple repositories`);
  const stopped = users[0];
  if (!force && stopped !== undefined)
    throw conflict(
      `${unable} (must be forced) - image is being used by stopped container ${short(stopped.containerId)}`,
    );
  return { names: [...image.references], deletesImage: stopped === undefined };
}

/** What a load has put in place so far, to be taken back if it fails. */
class Added {
  readonly layers: LayerRecord[] = [];
  readonly blobs: Digest[] = [];
}

function noSuchImage(name: string): LighterError {
  return new LighterError("not-found", `No such image: ${name}`);
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

async function openSource(source: ImageSource, ingestPath: string): Promise<ImageFiles> {
  const highWaterMark = 1024 * 1024;
  if ("fd" in source)
    return spoolArchive(createReadStream("", { fd: source.fd, autoClose: false, highWaterMark }), ingestPath);
  if (!("path" in source)) return spoolArchive(source, ingestPath);
  if (statSync(source.path).isDirectory()) return new DirectoryFiles(source.path, ingestPath);
  return spoolArchive(createReadStream(source.path, { highWaterMark }), ingestPath);
}

async function mediaTypeOf(file: IngestedFile): Promise<string> {
  const compression = detectCompression(await readHead(file.path));
  if (compression === "gzip") return MEDIA_TYPE.ociLayerGzip;
  return compression === "zstd" ? MEDIA_TYPE.ociLayerZstd : MEDIA_TYPE.ociLayer;
}

/** The manifest that an archive of `docker save` does not have. The same image gives the same bytes. */
function makeManifest(found: FoundImage, layers: readonly Descriptor[]): NonNullable<FoundImage["manifest"]> {
  const parsed: ImageManifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: { mediaType: MEDIA_TYPE.ociConfig, digest: found.configDigest, size: found.configBytes.length },
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  };
  const bytes = Buffer.from(JSON.stringify(parsed));
  return { bytes, digest: digestOf(bytes), parsed };
}
