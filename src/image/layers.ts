/**
 * Unpacked layers, each once, as overlayfs lower directories:
 *
 *   layers.json   which directory holds which layer; a directory it does not name is unfinished and goes at the next open
 *   l/0           empty: the lower directory of an image without layers
 *   l/NAME        a layer's tree; NAME counts up in base 36, is short (mount(2) takes one page of options) and not reused
 *
 * A layer's tree depends on its tar alone, so its key is the diffId and images share it whatever is below. One exception:
 * a tar may hold "etc/x" without "etc/", and then the mode and owner of /etc come from the layers below. Overlayfs takes
 * them from the topmost layer, so they are copied up while unpacking, and the key is the chainId.
 */
import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { LighterError, messageOf } from "../base/errors.ts";
import type { ChainId, DiffId } from "../base/ids.ts";
import { IMAGE_JSON_MAX_BYTES } from "../base/limits.ts";
import { fchmod, fchown, O_DIRECTORY, O_RDONLY } from "../linux/sys/fs.ts";
import { type Descriptor, parseJson } from "../spec/oci-image.ts";
import { digestOf, readFileLimited } from "./blobs.ts";
import { detectCompression, readDecompressed, readHead } from "./compression.ts";
import { writeFileDurably } from "./durable.ts";
import { statInLayers } from "./layered-fs.ts";
import { TarReader } from "./tar-reader.ts";
import { type LayerTotals, LayerUnpacker } from "./unpack.ts";

export interface RootAttributes {
  mode: number;
  uid: number;
  gid: number;
}

export interface LayerRecord {
  /** The diffId, or the chainId if the layer implies directories. */
  key: DiffId | ChainId;
  /** Whether it implies directories: then it serves no other chain. */
  implied: boolean;
  /** Name in l/. */
  directory: string;
  sizeBytes: number;
  /** What it says of "/". */
  root?: RootAttributes;
  /** Where its tar came from: how another image's manifest can name it without storing it twice. */
  blob: Pick<Descriptor, "mediaType" | "digest" | "size">;
}

interface LayersFile {
  version: 1;
  nextDirectory: number;
  layers: LayerRecord[];
}

/** Source: image-spec config.md#layer-chainid. */
export function chainIdsOf(diffIds: readonly DiffId[]): ChainId[] {
  const chainIds: ChainId[] = [];
  for (const diffId of diffIds) {
    const parent = chainIds.at(-1);
    chainIds.push((parent === undefined ? diffId : digestOf(`${parent} ${diffId}`)) as string as ChainId);
  }
  return chainIds;
}

function requireDiffId(actual: string, diffId: DiffId): void {
  if (actual !== diffId) throw new LighterError("invalid", `its content has the digest ${actual}`);
}

const EMPTY_DIRECTORY = "0";

export class LayerStore {
  readonly #layersPath: string;
  readonly #statePath: string;
  readonly #records = new Map<string, LayerRecord>();
  #nextDirectory = 1;

  /** Nobody else uses `rootPath`. Removes unfinished layers. */
  static async open(rootPath: string): Promise<LayerStore> {
    const store = new LayerStore(rootPath);
    mkdirSync(store.#layersPath, { recursive: true, mode: 0o700 });
    mkdirSync(store.directoryPath(EMPTY_DIRECTORY), { recursive: true, mode: 0o755 });
    await store.#read();
    const wanted = new Set([...store.#records.values()].map((record) => record.directory).concat(EMPTY_DIRECTORY));
    for (const name of readdirSync(store.#layersPath)) if (!wanted.has(name)) await store.#removeDirectory(name);
    for (const [key, record] of store.#records)
      if (!existsSync(store.directoryPath(record.directory))) store.#records.delete(key);
    return store;
  }

  private constructor(rootPath: string) {
    this.#layersPath = join(rootPath, "l");
    this.#statePath = join(rootPath, "layers.json");
  }

  async #read(): Promise<void> {
    if (!existsSync(this.#statePath)) return;
    const text = (await readFileLimited(this.#statePath, 16 * IMAGE_JSON_MAX_BYTES, this.#statePath)).toString("utf8");
    const state = parseJson(text, this.#statePath) as LayersFile;
    if (state.version !== 1)
      throw new LighterError(
        "not-supported",
        `"${this.#statePath}" has version ${state.version}, this program knows 1`,
      );
    this.#nextDirectory = state.nextDirectory;
    for (const record of state.layers) this.#records.set(record.key, record);
  }

  /** Call after the file system was synced: what is written down here must be on the disk. */
  async commit(): Promise<void> {
    const state: LayersFile = {
      version: 1,
      nextDirectory: this.#nextDirectory,
      layers: [...this.#records.values()],
    };
    await writeFileDurably(this.#statePath, `${JSON.stringify(state)}\n`);
  }

  directoryPath(name: string): string {
    return join(this.#layersPath, name);
  }

  get emptyDirectoryPath(): string {
    return this.directoryPath(EMPTY_DIRECTORY);
  }

  get(diffId: DiffId, chainId: ChainId): LayerRecord | undefined {
    const ofChain = this.#records.get(chainId);
    if (ofChain !== undefined) return ofChain;
    const ofDiff = this.#records.get(diffId);
    return ofDiff?.implied ? undefined : ofDiff;
  }

  /**
   * Unpacks a layer that `get` does not know. The record counts from now on in this process; on the disk it does after
   * `commit`. `lowerDirectories`: paths of the layers below, topmost first.
   * @throws LighterError ("invalid") if the tar is malformed or not `diffId`; ("kernel") with the errno, such as ENOSPC.
   */
  async unpack(
    diffId: DiffId,
    chainId: ChainId,
    blob: LayerRecord["blob"],
    blobPath: string,
    lowerDirectories: readonly string[],
    onBytes: (byteCount: number) => void,
  ): Promise<LayerRecord> {
    const directory = (this.#nextDirectory++).toString(36);
    try {
      const totals = await this.#unpackInto(directory, diffId, blob, blobPath, lowerDirectories, onBytes);
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
      return record;
    } catch (error) {
      await this.#removeDirectory(directory);
      if (error instanceof LighterError)
        throw new LighterError(error.code, `unpack layer ${diffId}: ${error.message}`, {
          ...error.detail,
          cause: error,
        });
      throw new LighterError("internal", `unpack layer ${diffId}: ${messageOf(error)}`, { cause: error });
    }
  }

  async #unpackInto(
    directory: string,
    diffId: DiffId,
    blob: LayerRecord["blob"],
    blobPath: string,
    lowerDirectories: readonly string[],
    onBytes: (byteCount: number) => void,
  ): Promise<LayerTotals> {
    // A plain tar's digest was taken when it came in, and hashing costs as much as writing.
    const isPlain = detectCompression(await readHead(blobPath)) === "none";
    if (isPlain) requireDiffId(blob.digest, diffId);
    const path = this.directoryPath(directory);
    mkdirSync(path, { mode: 0o755 });
    const rootFd = openSync(path, O_RDONLY | O_DIRECTORY);
    const unpacker = new LayerUnpacker(rootFd);
    try {
      fchmod(rootFd, 0o755, path); // whatever our umask is
      fchown(rootFd, 0, 0, path); // whatever a setgid parent says
      const reader = new TarReader(unpacker);
      const hash = createHash("sha256");
      for await (const chunk of readDecompressed(blobPath)) {
        if (!isPlain) hash.update(chunk);
        reader.push(chunk);
        onBytes(chunk.length);
      }
      reader.end();
      if (!isPlain) requireDiffId(`sha256:${hash.digest("hex")}`, diffId);
      return unpacker.finish((implied) => statInLayers(lowerDirectories, implied));
    } finally {
      unpacker.close();
      closeSync(rootFd);
    }
  }

  /** Forgets the layers, then removes their trees. */
  async remove(records: readonly LayerRecord[]): Promise<void> {
    for (const record of records) this.#records.delete(record.key);
    await this.commit(); // must come first: a record of a half-removed tree would be believed
    for (const record of records) await this.#removeDirectory(record.directory);
  }

  /** Takes back what `unpack` did and no `commit` has written down. */
  async discard(record: LayerRecord): Promise<void> {
    this.#records.delete(record.key);
    await this.#removeDirectory(record.directory);
  }

  *records(): Iterable<LayerRecord> {
    yield* this.#records.values();
  }

  /** Off the main thread: a large layer takes seconds. Follows no symlink, and takes trees deeper than PATH_MAX. */
  async #removeDirectory(name: string): Promise<void> {
    await rm(this.directoryPath(name), { recursive: true, force: true });
  }
}
