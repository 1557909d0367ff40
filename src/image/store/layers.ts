/**
 * Unpacked layers, each once, as overlayfs lower directories:
 *
 *   l/0           empty: the lower directory of an image without layers
 *   l/NAME        a layer's tree; NAME counts up in base 36, is short (mount(2) takes one page of options) and not reused
 *
 * The database says which directory holds which layer. A directory that it does not name is unfinished and is removed at the next
 * open.
 *
 * A layer's tree depends on its tar alone, so its key is the diffId and images share it whatever is below. One exception: a tar
 * may hold "etc/x" without "etc/", and then the mode and owner of /etc come from the layers below. Overlayfs takes them from the
 * topmost layer, so they are copied up after unpacking, and the key is the chainId.
 */
import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../base/errors.ts";
import type { ChainId, DiffId } from "../../base/ids.ts";
import type { Trash } from "../../files/mod.ts";
import { spreadDirectories } from "../../linux/sys/spread-directories.ts";
import type { LayerTotals } from "../tar/unpack.ts";
import { digestOf } from "./blobs.ts";
import type { ImageDatabase, LayerRecord } from "./database.ts";

/** The chainId of each layer. Source: image-spec config.md#layer-chainid. */
export function chainIdsOf(diffIds: readonly DiffId[]): ChainId[] {
  const chainIds: ChainId[] = [];
  for (const diffId of diffIds) {
    const parent = chainIds.at(-1);
    chainIds.push((parent === undefined ? diffId : digestOf(`${parent} ${diffId}`)) as string as ChainId);
  }
  return chainIds;
}

const EMPTY_DIRECTORY = "0";

export class LayerStore {
  /** The path above the directories of all layers. */
  readonly path: string;
  readonly #trash: Trash;
  readonly #records = new Map<string, LayerRecord>();
  /** Keys of records that the database does not have yet. */
  readonly #uncommitted = new Set<string>();
  /** When each of these was added. */
  readonly #addedAtMs = new Map<string, number>();
  #nextDirectory: number;

  /** Opens the layers. Nobody else uses `rootPath`. */
  static open(rootPath: string, database: ImageDatabase, trash: Trash): LayerStore {
    const store = new LayerStore(join(rootPath, "l"), database.nextDirectory(), trash);
    mkdirSync(store.path, { recursive: true, mode: 0o700 });
    spreadDirectories(store.path);
    mkdirSync(store.emptyDirectoryPath, { recursive: true, mode: 0o755 });
    for (const { addedAtMs, ...record } of database.layers()) {
      if (!existsSync(store.directoryPath(record.directory))) continue;
      store.#records.set(record.key, record);
      store.#addedAtMs.set(record.key, addedAtMs);
    }
    return store;
  }

  /** Removes the directories that have no record and are not in `others`: an earlier process has left them unfinished. */
  async removeUnknown(others: ReadonlySet<string>): Promise<void> {
    const wanted = new Set([...this.#records.values()].map((record) => record.directory).concat(EMPTY_DIRECTORY));
    for (const name of readdirSync(this.path))
      if (!wanted.has(name) && !others.has(name)) await this.#removeDirectory(name);
  }

  private constructor(layersPath: string, nextDirectory: number, trash: Trash) {
    this.path = layersPath;
    this.#trash = trash;
    this.#nextDirectory = nextDirectory;
  }

  directoryPath(name: string): string {
    return join(this.path, name);
  }

  get emptyDirectoryPath(): string {
    return this.directoryPath(EMPTY_DIRECTORY);
  }

  get nextDirectory(): number {
    return this.#nextDirectory;
  }

  get(diffId: DiffId, chainId: ChainId): LayerRecord | undefined {
    const ofChain = this.#records.get(chainId);
    if (ofChain !== undefined) return ofChain;
    const ofDiff = this.#records.get(diffId);
    return ofDiff?.implied ? undefined : ofDiff;
  }

  *records(): Iterable<LayerRecord> {
    yield* this.#records.values();
  }

  isCommitted(record: LayerRecord): boolean {
    return !this.#uncommitted.has(record.key);
  }

  setCommitted(records: Iterable<LayerRecord>): void {
    for (const { key } of records) {
      this.#uncommitted.delete(key);
      this.#addedAtMs.set(key, Date.now());
    }
  }

  addedAtMs(record: LayerRecord): number {
    return this.#addedAtMs.get(record.key) ?? Date.now();
  }

  // --- New layers ---

  /** A name in l/ that has never been used, for a worker to make. */
  newDirectory(): string {
    return (this.#nextDirectory++).toString(36);
  }

  /** Moves a tree that was unpacked elsewhere on this file system to its place. Undefined if it does not exist (any more). */
  moveIn(path: string): string | undefined {
    const name = this.newDirectory();
    try {
      renameSync(path, this.directoryPath(name));
      return name;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Adds a record for an unpacked directory. It counts from now on in this process, and lasts once it is committed. */
  add(
    chainId: ChainId,
    diffId: DiffId,
    directory: string,
    blob: LayerRecord["blob"],
    totals: Pick<LayerTotals, "sizeBytes" | "impliedDirectories" | "root">,
  ): LayerRecord {
    const implied = totals.impliedDirectories.length > 0;
    const record: LayerRecord = {
      key: implied ? chainId : diffId,
      implied,
      directory,
      sizeBytes: totals.sizeBytes,
      ...(totals.root === undefined ? {} : { root: totals.root }),
      blob: { mediaType: blob.mediaType, digest: blob.digest, size: blob.size },
    };
    this.#records.set(record.key, record);
    this.#uncommitted.add(record.key);
    return record;
  }

  // --- Removing ---

  /**
   * Removes layers. By the time it returns its promise they are forgotten, and their trees are in the trash. The database must
   * have forgotten them first: it would believe a record of a missing tree.
   */
  async remove(records: readonly LayerRecord[]): Promise<void> {
    for (const { key } of records) {
      this.#records.delete(key);
      this.#uncommitted.delete(key);
      this.#addedAtMs.delete(key);
    }
    await Promise.all(records.map(({ directory }) => this.#removeDirectory(directory)));
  }

  /** Removes a directory that has no record, such as what a failed worker has left. */
  async removeFailed(directory: string): Promise<void> {
    await this.#removeDirectory(directory);
  }

  async #removeDirectory(name: string): Promise<void> {
    await this.#trash.discard(this.directoryPath(name));
  }
}
