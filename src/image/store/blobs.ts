/** The content-addressed part of the OCI image layout: blobs/sha256/HEX, and ingest/ for files that are not verified yet. */
import { createHash } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, readdirSync } from "node:fs";
import { mkdtemp, open, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, LighterError } from "../../base/errors.ts";
import type { DiffId, Digest } from "../../base/ids.ts";
import { IMAGE_JSON_MAX_BYTES, UNFINISHED_PULL_MAX_AGE_MS } from "../../base/limits.ts";
import { writePoint } from "../../base/write-point.ts";
import type { Trash } from "../../files/mod.ts";
import type { LayerTotals } from "../tar/unpack.ts";
import { writeFailure } from "./write-failure.ts";

/** A file in an ingest directory, which was hashed while it was written. */
export interface IngestedFile {
  path: string;
  digest: Digest;
  sizeBytes: number;
  /** Set if it is a layer that has been unpacked; the caller may move its tree. */
  unpacked?: { diffId: DiffId; directoryPath: string; totals: LayerTotals };
  /** Set if it looks like a layer but is broken: the reason. */
  failure?: LighterError;
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
}

/** Reads a whole file. @throws LighterError ("invalid") if it is longer than `maxBytes`; Node's error if it cannot be read. */
export async function readFileLimited(path: string, maxBytes: number, what: string): Promise<Buffer> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    if (size > maxBytes) throw new LighterError("invalid", `${what} has ${size} bytes, above the limit of ${maxBytes}`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

const PARTIAL_NAME = /^sha256-([0-9a-f]{64})\.partial$/;

export class BlobStore {
  readonly #blobsPath: string;
  readonly #ingestPath: string;
  readonly #trash: Trash;
  /** Downloads that are complete and verified, and lie where they would be resumed if this process were killed. */
  readonly #downloaded = new Set<Digest>();

  /**
   * Opens the store. Nobody else uses `rootPath`: what an earlier process left in ingest/ is removed, except unfinished
   * downloads.
   */
  static async open(rootPath: string, trash: Trash): Promise<BlobStore> {
    const store = new BlobStore(rootPath, trash);
    mkdirSync(store.#ingestPath, { recursive: true, mode: 0o700 });
    mkdirSync(store.#blobsPath, { recursive: true, mode: 0o700 });
    await store.#removeUnfinished(UNFINISHED_PULL_MAX_AGE_MS);
    return store;
  }

  private constructor(rootPath: string, trash: Trash) {
    this.#trash = trash;
    this.#blobsPath = join(rootPath, "blobs", "sha256");
    this.#ingestPath = join(rootPath, "ingest");
  }

  #storedPath(digest: Digest): string {
    return join(this.#blobsPath, digest.slice("sha256:".length));
  }

  /** The path of a blob that `has` knows. */
  pathOf(digest: Digest): string {
    return this.#downloaded.has(digest) ? this.partialPathOf(digest) : this.#storedPath(digest);
  }

  has(digest: Digest): boolean {
    return this.#downloaded.has(digest) || existsSync(this.#storedPath(digest));
  }

  // --- Unfinished files ---

  /** A new directory for one operation's unfinished files; removed by `removeIngest`. */
  createIngest(): Promise<string> {
    return mkdtemp(join(this.#ingestPath, "load-"));
  }

  async removeIngest(path: string): Promise<void> {
    await this.#trash.discard(path);
  }

  /** The file into which a blob is downloaded. */
  partialPathOf(digest: Digest): string {
    return join(this.#ingestPath, `sha256-${digest.slice("sha256:".length)}.partial`);
  }

  hasPartial(digest: Digest): boolean {
    return !this.#downloaded.has(digest) && existsSync(this.partialPathOf(digest));
  }

  async removePartial(digest: Digest): Promise<void> {
    await rm(this.partialPathOf(digest), { force: true });
  }

  /** Notes that a download is complete and verified. `settle` makes it a blob like others. */
  setDownloaded(digest: Digest): void {
    this.#downloaded.add(digest);
  }

  /** Moves the blobs that are downloads to their place. That lasts only once the file system has been synced. */
  async settle(digests: Iterable<Digest>): Promise<void> {
    for (const digest of digests) {
      if (!this.#downloaded.has(digest)) continue;
      writePoint("settle blob");
      await rename(this.partialPathOf(digest), this.#storedPath(digest));
      this.#downloaded.delete(digest);
    }
  }

  /** Removes what an earlier process has left in ingest/, except downloads younger than `maxAgeMs`. */
  async #removeUnfinished(maxAgeMs: number): Promise<void> {
    for (const name of readdirSync(this.#ingestPath)) {
      const path = join(this.#ingestPath, name);
      const isYoung = Date.now() - lstatSync(path).mtimeMs < maxAgeMs;
      if (!PARTIAL_NAME.test(name) || !isYoung) await this.#trash.discard(path);
    }
  }

  /** Removes unfinished downloads that nobody is working on. */
  async removePartials(isUnderWay: (digest: Digest) => boolean): Promise<void> {
    for (const name of readdirSync(this.#ingestPath)) {
      const hex = PARTIAL_NAME.exec(name)?.[1];
      if (hex !== undefined && !isUnderWay(`sha256:${hex}` as Digest))
        await rm(join(this.#ingestPath, name), { force: true });
    }
  }

  // --- Whole blobs ---

  /** Moves a verified file in. That lasts only once the file system has been synced. */
  async adopt(file: IngestedFile): Promise<void> {
    await rename(file.path, this.#storedPath(file.digest));
  }

  /** Stores a small document. That lasts only once the file system has been synced. */
  async put(ingestPath: string, bytes: Uint8Array, digest: Digest): Promise<void> {
    const tempPath = join(ingestPath, digest.slice("sha256:".length));
    try {
      await writeFile(tempPath, bytes, { mode: 0o600 });
    } catch (error) {
      throw writeFailure(tempPath, error);
    }
    await rename(tempPath, this.#storedPath(digest));
  }

  /** Reads a document and verifies it again: the disk may have changed it. @throws LighterError ("invalid", "not-found"). */
  async readDocument(digest: Digest): Promise<string> {
    let bytes: Buffer;
    try {
      bytes = await readFileLimited(this.#storedPath(digest), IMAGE_JSON_MAX_BYTES, `blob ${digest}`);
    } catch (cause) {
      if (errnoOf(cause) !== "ENOENT") throw cause;
      throw new LighterError("not-found", `blob ${digest} is missing`, { cause });
    }
    if (digestOf(bytes) !== digest) throw new LighterError("invalid", `blob ${digest} is damaged`);
    return bytes.toString("utf8");
  }

  /**
   * Removes blobs. By the time it returns its promise, `has` no longer knows them, and they are in the trash. A complete download
   * stays where it is: it can be resumed like an unfinished one.
   */
  async remove(digests: readonly Digest[]): Promise<void> {
    for (const digest of digests) this.#downloaded.delete(digest);
    await Promise.all(digests.map((digest) => this.#trash.discard(this.#storedPath(digest))));
  }

  /** Removes every blob that is not in `wanted`, and returns their digests. */
  async removeAllBut(wanted: ReadonlySet<Digest>): Promise<Digest[]> {
    const digests = readdirSync(this.#blobsPath).map((hex) => `sha256:${hex}` as Digest);
    const unwanted = digests.filter((digest) => !wanted.has(digest));
    for (const digest of unwanted) await this.#trash.discard(this.#storedPath(digest));
    return unwanted;
  }

  /** The size of all blobs. */
  sizeBytes(): number {
    return readdirSync(this.#blobsPath).reduce((sum, hex) => sum + lstatSync(join(this.#blobsPath, hex)).size, 0);
  }
}
