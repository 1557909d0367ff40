/** The files from which `load` reads: a tar that a worker has taken apart, or a directory. */
import { createHash } from "node:crypto";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { IMAGE_JSON_MAX_BYTES } from "../../base/limits.ts";
import { type IngestedFile, readFileLimited } from "../store/blobs.ts";
import type { LayerRecord } from "../store/database.ts";
import { splitArchivePath } from "../tar/unpack.ts";
import type { ArchiveEntry, TakenFile } from "../worker/protocol.ts";

/** The files of an archive or directory. Names are paths relative to its top and never lead anywhere else. */
export interface ImageFiles {
  /** Reads a document; undefined if there is none of that name. @throws LighterError ("invalid") above IMAGE_JSON_MAX_BYTES. */
  readDocument(name: string): Promise<Buffer | undefined>;
  /** Puts the file into the ingest directory, hashed; the caller may move it. Undefined if there is none of that name. */
  ingest(name: string): Promise<IngestedFile | undefined>;
  /** The store's blob with the same content, if the file was skipped because of it. */
  knownBlob?(name: string): LayerRecord["blob"] | undefined;
}

/** A name as a key: "./a//b" and "a/b" are the same. Undefined for a name that leaves the top: no file has it. */
function normalise(name: string): string | undefined {
  try {
    return splitArchivePath(name).join("/");
  } catch {
    return undefined;
  }
}

/** How many symlinks are followed between entries of one archive: `docker save` wrote a layer once and linked to it. */
const LINKS_MAX = 8;

/** The files that a worker has found in a tar. */
export class ArchiveFiles implements ImageFiles {
  readonly #ingestPath: string;
  readonly #known: ReadonlyMap<string, LayerRecord>;
  readonly #files = new Map<string, TakenFile | { known: Digest }>();
  /** Link targets by name. */
  readonly #links = new Map<string, string>();

  /** `ingestPath` is the directory of the files, `known` the layers that were skipped, by the digest in their name. */
  constructor(ingestPath: string, known: ReadonlyMap<string, LayerRecord>) {
    this.#ingestPath = ingestPath;
    this.#known = known;
  }

  add(entry: Exclude<ArchiveEntry, { kind: "progress" }>): void {
    if (entry.kind === "link") {
      this.#links.set(entry.name, entry.target);
      return;
    }
    this.#files.set(entry.name, entry.kind === "known" ? { known: entry.digest } : entry.file);
    this.#links.delete(entry.name);
  }

  #find(name: string): TakenFile | { known: Digest } | undefined {
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
    if (file === undefined || "known" in file) return undefined;
    return await readFileLimited(join(this.#ingestPath, file.fileName), IMAGE_JSON_MAX_BYTES, `"${name}"`);
  }

  async ingest(name: string): Promise<IngestedFile | undefined> {
    const file = this.#find(name);
    return file === undefined || "known" in file ? undefined : ingested(file, this.#ingestPath);
  }

  knownBlob(name: string): LayerRecord["blob"] | undefined {
    const file = this.#find(name);
    return file !== undefined && "known" in file ? this.#known.get(file.known)?.blob : undefined;
  }
}

/** A file that a worker has taken, as one that the caller may move. */
export function ingested({ fileName, digest, sizeBytes, layer, failure }: TakenFile, ingestPath: string): IngestedFile {
  return {
    path: join(ingestPath, fileName),
    digest,
    sizeBytes,
    ...(layer && {
      unpacked: {
        diffId: layer.diffId,
        directoryPath: join(ingestPath, layer.directoryName),
        totals: layer.totals,
      },
    }),
    ...(failure && { failure }),
  };
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

  /** O_NOFOLLOW: a layout's files must be plain files. O_NONBLOCK: opening a fifo must not wait. */
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
