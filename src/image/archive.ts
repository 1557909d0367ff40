/** Where `load` reads files from: a tar that comes as a stream, spooled to the ingest area, or a directory. */
import { createHash, type Hash } from "node:crypto";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, LighterError } from "../base/errors.ts";
import type { Digest } from "../base/ids.ts";
import { ARCHIVE_MAX_FILES, IMAGE_JSON_MAX_BYTES } from "../base/limits.ts";
import { showPath } from "../linux/sys/fs.ts";
import { type IngestedFile, readFileLimited } from "./blobs.ts";
import { decompressStream } from "./compression.ts";
import { type TarEntry, TarReader, type TarSink } from "./tar-reader.ts";
import { splitArchivePath } from "./unpack.ts";

/** Names are paths relative to the archive's or directory's top. No name leads anywhere else. */
export interface ImageFiles {
  /** A document; undefined if there is none of the name. @throws LighterError ("invalid") above IMAGE_JSON_MAX_BYTES. */
  readDocument(name: string): Promise<Buffer | undefined>;
  /** The file, in the ingest directory, hashed: the caller may move it. Undefined if there is none of the name. */
  ingest(name: string): Promise<IngestedFile | undefined>;
}

/** The name as a key: "./a//b" and "a/b" are one. Undefined for one that leaves the top: nothing has such a name. */
function normalise(name: string): string | undefined {
  try {
    return splitArchivePath(name).join("/");
  } catch {
    return undefined;
  }
}

/** Symlinks between entries of one archive: `docker save` wrote a layer once and linked to it. */
const LINKS_MAX = 8;

class Spool implements TarSink, ImageFiles {
  readonly #ingestPath: string;
  readonly #files = new Map<string, IngestedFile>();
  /** Name to name. */
  readonly #links = new Map<string, string>();
  #count = 0;
  #open: { name: string; path: string; fd: number; hash: Hash; sizeBytes: number } | undefined;

  constructor(ingestPath: string) {
    this.#ingestPath = ingestPath;
  }

  get fileCount(): number {
    return this.#files.size;
  }

  entry(entry: TarEntry): void {
    if (++this.#count > ARCHIVE_MAX_FILES)
      throw new LighterError("invalid", `archive has more than ${ARCHIVE_MAX_FILES} entries`);
    const components = splitArchivePath(entry.path);
    const name = components.join("/");
    if (entry.type === "file") {
      const path = join(this.#ingestPath, `${this.#count}`);
      const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
      this.#open = { name, path, fd, hash: createHash("sha256"), sizeBytes: 0 };
    } else if (entry.type === "symlink") {
      const target = normalise([...components.slice(0, -1), entry.linkPath].join("/"));
      if (target !== undefined) this.#links.set(name, target);
    } else if (entry.type === "hardlink") {
      this.#links.set(name, splitArchivePath(entry.linkPath).join("/"));
    }
  }

  data(bytes: Uint8Array, offset: number): void {
    const file = this.#open!;
    if (offset !== file.sizeBytes) throw new LighterError("invalid", `entry "${showPath(file.name)}" is sparse`);
    file.hash.update(bytes);
    let done = 0;
    while (done < bytes.length) done += writeSync(file.fd, bytes, done, bytes.length - done);
    file.sizeBytes += bytes.length;
  }

  endEntry(): void {
    const file = this.#open;
    if (file === undefined) return;
    this.#open = undefined;
    closeSync(file.fd);
    const digest = `sha256:${file.hash.digest("hex")}` as Digest;
    this.#files.set(file.name, { path: file.path, digest, sizeBytes: file.sizeBytes });
    this.#links.delete(file.name);
  }

  close(): void {
    if (this.#open !== undefined) closeSync(this.#open.fd);
    this.#open = undefined;
  }

  #find(name: string): IngestedFile | undefined {
    let key = normalise(name);
    for (let i = 0; i <= LINKS_MAX && key !== undefined; i++) {
      const file = this.#files.get(key);
      if (file !== undefined) return file;
      key = this.#links.get(key);
    }
    return undefined;
  }

  async readDocument(name: string): Promise<Buffer | undefined> {
    const file = this.#find(name);
    return file && (await readFileLimited(file.path, IMAGE_JSON_MAX_BYTES, `"${name}"`));
  }

  async ingest(name: string): Promise<IngestedFile | undefined> {
    return this.#find(name);
  }
}

/**
 * Reads a tar, plain or compressed, once, into `ingestPath`.
 * @throws LighterError ("invalid") if it is empty or no tar; ("kernel") with the errno if the disk is full.
 */
export async function spoolArchive(source: AsyncIterable<Uint8Array>, ingestPath: string): Promise<ImageFiles> {
  const spool = new Spool(ingestPath);
  const reader = new TarReader(spool);
  let byteCount = 0;
  try {
    for await (const chunk of decompressStream(source)) {
      reader.push(chunk);
      byteCount += chunk.length;
    }
    if (byteCount === 0) throw new LighterError("invalid", "the archive is empty");
    reader.end();
  } finally {
    spool.close();
  }
  if (spool.fileCount === 0) throw new LighterError("invalid", "the archive holds no files");
  return spool;
}

/** An OCI layout as a directory on this host. */
export class DirectoryFiles implements ImageFiles {
  readonly #path: string;
  readonly #ingestPath: string;
  #count = 0;

  constructor(path: string, ingestPath: string) {
    this.#path = path;
    this.#ingestPath = ingestPath;
  }

  /** O_NOFOLLOW: a layout's files are files. O_NONBLOCK: a fifo must not make us wait. */
  async #open(name: string) {
    const normal = normalise(name);
    if (normal === undefined) return undefined;
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    try {
      const handle = await open(join(this.#path, normal), flags);
      if ((await handle.stat()).isFile()) return handle;
      await handle.close();
      return undefined;
    } catch (error) {
      if (["ENOENT", "ENOTDIR", "ELOOP"].includes(errnoOf(error))) return undefined;
      throw error;
    }
  }

  async readDocument(name: string): Promise<Buffer | undefined> {
    const handle = await this.#open(name);
    if (handle === undefined) return undefined;
    try {
      const { size } = await handle.stat();
      if (size > IMAGE_JSON_MAX_BYTES)
        throw new LighterError("invalid", `"${name}" has ${size} bytes, above the limit of ${IMAGE_JSON_MAX_BYTES}`);
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  }

  async ingest(name: string): Promise<IngestedFile | undefined> {
    const handle = await this.#open(name);
    if (handle === undefined) return undefined;
    const path = join(this.#ingestPath, `${++this.#count}`);
    const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafe(1024 * 1024);
    let sizeBytes = 0;
    try {
      for (;;) {
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
        if (bytesRead === 0) break;
        const bytes = buffer.subarray(0, bytesRead);
        hash.update(bytes);
        let done = 0;
        while (done < bytesRead) done += writeSync(fd, bytes, done, bytesRead - done);
        sizeBytes += bytesRead;
      }
    } finally {
      closeSync(fd);
      await handle.close();
    }
    return { path, digest: `sha256:${hash.digest("hex")}` as Digest, sizeBytes };
  }
}
