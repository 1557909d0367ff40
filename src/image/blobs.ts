/** The content-addressed part of the OCI image layout: blobs/sha256/HEX, and ingest/ for what is not verified yet. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { mkdtemp, open, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, LighterError } from "../base/errors.ts";
import type { Digest } from "../base/ids.ts";
import { IMAGE_JSON_MAX_BYTES } from "../base/limits.ts";

/** A file in an ingest directory, hashed while it was written. */
export interface IngestedFile {
  path: string;
  digest: Digest;
  sizeBytes: number;
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
}

/** A whole file. @throws LighterError ("invalid") if it is longer than `maxBytes`; Node's error if it cannot be read. */
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

export class BlobStore {
  readonly #blobsPath: string;
  readonly #ingestPath: string;

  /** Nobody else uses `rootPath`: what an earlier process left in ingest/ is removed. */
  static async open(rootPath: string): Promise<BlobStore> {
    const store = new BlobStore(rootPath);
    await rm(store.#ingestPath, { recursive: true, force: true });
    mkdirSync(store.#ingestPath, { mode: 0o700 });
    mkdirSync(store.#blobsPath, { recursive: true, mode: 0o700 });
    return store;
  }

  private constructor(rootPath: string) {
    this.#blobsPath = join(rootPath, "blobs", "sha256");
    this.#ingestPath = join(rootPath, "ingest");
  }

  pathOf(digest: Digest): string {
    return join(this.#blobsPath, digest.slice("sha256:".length));
  }

  has(digest: Digest): boolean {
    return existsSync(this.pathOf(digest));
  }

  /** A new directory for one operation's unfinished files; removed by `removeIngest`. */
  createIngest(): Promise<string> {
    return mkdtemp(join(this.#ingestPath, "load-"));
  }

  async removeIngest(path: string): Promise<void> {
    await rm(path, { recursive: true, force: true });
  }

  /** Moves a verified file in. Its bytes are on the disk only after the file system was synced. */
  async adopt(file: IngestedFile): Promise<void> {
    await rename(file.path, this.pathOf(file.digest));
  }

  /** Stores a small document. On the disk only after the file system was synced. */
  async put(ingestPath: string, bytes: Uint8Array, digest: Digest): Promise<void> {
    const tempPath = join(ingestPath, digest.slice("sha256:".length));
    await writeFile(tempPath, bytes, { mode: 0o600 });
    await rename(tempPath, this.pathOf(digest));
  }

  /** A document, verified again: the disk may have changed it. @throws LighterError ("invalid", "not-found"). */
  async readDocument(digest: Digest): Promise<string> {
    let bytes: Buffer;
    try {
      bytes = await readFileLimited(this.pathOf(digest), IMAGE_JSON_MAX_BYTES, `blob ${digest}`);
    } catch (cause) {
      if (errnoOf(cause) !== "ENOENT") throw cause;
      throw new LighterError("not-found", `blob ${digest} is missing`, { cause });
    }
    if (digestOf(bytes) !== digest) throw new LighterError("invalid", `blob ${digest} is damaged`);
    return bytes.toString("utf8");
  }

  async remove(digest: Digest): Promise<void> {
    await rm(this.pathOf(digest), { force: true });
  }

  /** Removes every blob that is not in `wanted`, and returns how many those were. */
  async removeAllBut(wanted: ReadonlySet<Digest>): Promise<number> {
    const unwanted = readdirSync(this.#blobsPath).filter((hex) => !wanted.has(`sha256:${hex}` as Digest));
    for (const hex of unwanted) await rm(join(this.#blobsPath, hex), { force: true, recursive: true });
    return unwanted.length;
  }
}
