/**
 * Takes apart the archive of a `load`, in one pass: each of its layers is unpacked while it comes. A file's first bytes tell
 * whether it is a layer; the archive's end tells the daemon which image it belongs to.
 */
import { LighterError } from "../../base/errors.ts";
import type { DiffId, Digest } from "../../base/ids.ts";
import { ARCHIVE_MAX_FILES } from "../../base/limits.ts";
import { showPath } from "../../linux/sys/fs.ts";
import { decompressStream } from "../tar/compression.ts";
import { type TarEntry, TarReader, type TarSink } from "../tar/tar-reader.ts";
import { splitArchivePath } from "../tar/unpack.ts";
import { Feed } from "./feed.ts";
import type { ArchiveEntry, ArchiveJob } from "./protocol.ts";
import { takeFile } from "./take-file.ts";

/** How much of the archive is handled at a time: limits how many small files are open. */
const PIECE_BYTES = 64 * 1024;
const PROGRESS_INTERVAL_MS = 100;

/**
 * Takes an archive apart. @throws LighterError ("invalid") if it is empty or no tar; ("kernel") with the errno if the disk is
 * full.
 */
export async function takeArchive(
  job: ArchiveJob,
  source: AsyncIterable<Uint8Array>,
  tell: (entry: ArchiveEntry) => Promise<void>,
): Promise<undefined> {
  const taker = new ArchiveTaker(job, tell);
  const reader = new TarReader(taker);
  let byteCount = 0;
  for await (const chunk of decompressStream(source)) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      reader.push(chunk.subarray(at, at + PIECE_BYTES));
      await taker.settle();
    }
    byteCount += chunk.length;
  }
  if (byteCount === 0) throw new LighterError("invalid", "the archive is empty");
  reader.end();
  if (taker.fileCount === 0) throw new LighterError("invalid", "the archive holds no files");
}

class ArchiveTaker implements TarSink {
  readonly #job: ArchiveJob;
  readonly #known: ReadonlySet<string>;
  readonly #tell: (entry: ArchiveEntry) => Promise<void>;
  /** The results for entries that have begun, in their order. */
  #entries: Promise<ArchiveEntry>[] = [];
  #feed: Feed | undefined;
  #name = "";
  #offset = 0;
  #count = 0;
  fileCount = 0;

  constructor(job: ArchiveJob, tell: (entry: ArchiveEntry) => Promise<void>) {
    this.#job = job;
    this.#known = new Set(job.known);
    this.#tell = tell;
  }

  entry(entry: TarEntry): void {
    if (++this.#count > ARCHIVE_MAX_FILES)
      throw new LighterError("invalid", `archive has more than ${ARCHIVE_MAX_FILES} entries`);
    const components = splitArchivePath(entry.path);
    const name = components.join("/");
    if (entry.type === "file") this.#begin(name, entry.size);
    else if (entry.type === "symlink") this.#link(name, () => [...components.slice(0, -1), entry.linkPath].join("/"));
    else if (entry.type === "hardlink") this.#link(name, () => entry.linkPath);
  }

  #begin(name: string, sizeBytes: number): void {
    this.fileCount++;
    this.#name = name;
    this.#offset = 0;
    const digest = digestInName(name);
    if (digest !== undefined && this.#known.has(digest)) {
      this.#entries.push(Promise.resolve({ kind: "known", name, digest }));
      return;
    }
    this.#feed = new Feed();
    const onUnpacked = digest === undefined ? undefined : this.#progress(digest, sizeBytes);
    const options = { ingestPath: this.#job.ingestPath, number: this.#count, ...(onUnpacked && { onUnpacked }) };
    this.#entries.push(takeFile(this.#feed, options).then((file): ArchiveEntry => ({ kind: "file", name, file })));
    this.#entries.at(-1)!.catch(() => {}); // `settle` throws it
  }

  /** A plain layer's digest is its diffId, so its progress can be told before its end. */
  #progress(digest: Digest, totalBytes: number) {
    let currentBytes = 0;
    let lastMs = performance.now();
    return (byteCount: number, compression: string): void => {
      currentBytes += byteCount;
      const nowMs = performance.now();
      if (compression !== "none" || nowMs - lastMs < PROGRESS_INTERVAL_MS) return;
      lastMs = nowMs;
      void this.#tell({ kind: "progress", diffId: digest as string as DiffId, currentBytes, totalBytes });
    };
  }

  /** Adds a link. One that leads out of the archive leads to nothing in it. */
  #link(name: string, to: () => string): void {
    let target: string;
    try {
      target = splitArchivePath(to()).join("/");
    } catch {
      return;
    }
    this.#entries.push(Promise.resolve({ kind: "link", name, target }));
  }

  data(bytes: Uint8Array, offset: number): void {
    if (offset !== this.#offset) throw new LighterError("invalid", `entry "${showPath(this.#name)}" is sparse`);
    this.#offset += bytes.length;
    this.#feed?.push(bytes);
  }

  endEntry(): void {
    this.#feed?.end();
    this.#feed = undefined;
  }

  /** Resolves when all bytes have been consumed, and finished entries have been reported. */
  async settle(): Promise<void> {
    const ended = this.#feed === undefined ? this.#entries : this.#entries.slice(0, -1);
    this.#entries = this.#entries.slice(ended.length);
    for (const entry of ended) await this.#tell(await entry);
    if (this.#feed === undefined) return;
    await Promise.race([this.#feed.taken(), this.#entries[0]]); // the entry rejects if its consumer fails
  }
}

function digestInName(name: string): Digest | undefined {
  const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
  return hex === undefined ? undefined : (`sha256:${hex}` as Digest);
}
