/** Reads the compressed bytes of a layer, from this disk or from a registry, and verifies them at their end. */
import { createHash, type Hash } from "node:crypto";
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { tryLockExclusive } from "../../linux/sys/flock.ts";
import { O_CREAT, O_NOFOLLOW, O_RDONLY, O_RDWR } from "../../linux/sys/fs.ts";
import { type BlobSource, RegistryError } from "../registry/mod.ts";
import { writeFailure } from "../store/write-failure.ts";
import { beat } from "./heartbeat.ts";
import type { LayerJob } from "./protocol.ts";

const READ_BYTES = 512 * 1024;

/** The registry client's function that reads a blob from `offset` to its end. */
export type OpenBlob = (source: BlobSource, offset: number) => AsyncIterable<Uint8Array>;

/** The compressed bytes. @throws LighterError ("invalid") if they do not have the right digest; ("unavailable"); ("kernel"). */
export function compressedBytes(job: LayerJob, openBlob: OpenBlob): AsyncGenerator<Uint8Array> {
  const { source } = job;
  if (source.kind === "file") return readFileBytes(source.path);
  return new Download(job, source.partialPath).bytes((offset) => openBlob(source.blob, offset));
}

/** Reads from an fd. The caller may keep each chunk. */
function* readFd(fd: number, byteCount: number): Generator<Uint8Array> {
  for (let at = 0; at < byteCount; ) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, byteCount - at));
    const length = readSync(fd, buffer, 0, buffer.length, at);
    if (length === 0) throw new LighterError("internal", "a file became shorter while it was read");
    at += length;
    beat();
    yield buffer.subarray(0, length);
  }
}

async function* readFileBytes(path: string): AsyncGenerator<Uint8Array> {
  const fd = openSync(path, O_RDONLY | O_NOFOLLOW);
  try {
    yield* readFd(fd, fstatSync(fd).size);
  } finally {
    closeSync(fd);
  }
}

/**
 * A download into a file that outlives failures, this process and the daemon: what it holds is hashed and used again, and only
 * the rest is asked for.
 */
class Download {
  readonly #job: LayerJob;
  readonly #path: string;
  readonly #hash: Hash = createHash("sha256");
  #length = 0;

  constructor(job: LayerJob, path: string) {
    this.#job = job;
    this.#path = path;
  }

  async *bytes(open: (offset: number) => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const fd = openSync(this.#path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    try {
      // Another process: that of a daemon that was killed a moment ago, whose worker has not quite ended.
      if (!tryLockExclusive(fd)) throw new LighterError("unavailable", "another process is downloading it");
      if (fstatSync(fd).size > this.#job.size) ftruncateSync(fd, 0);
      for (const chunk of readFd(fd, fstatSync(fd).size)) {
        this.#take(chunk);
        yield chunk;
      }
      for await (const chunk of this.#received(open)) {
        this.#write(fd, chunk);
        this.#take(chunk);
        yield chunk;
      }
      this.#verify();
    } finally {
      closeSync(fd);
    }
  }

  /** What the registry has is as long as it should be, or another layer. */
  async *#received(open: (offset: number) => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* open(this.#length);
    } catch (error) {
      if (!(error instanceof LighterError) || error instanceof RegistryError || error.code !== "invalid") throw error;
      throw this.#verificationFailure(error.message);
    }
  }

  #verificationFailure(why: string): LighterError {
    return new LighterError("invalid", `filesystem layer verification failed for digest ${this.#job.digest}: ${why}`);
  }

  #write(fd: number, bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length; )
        done += writeSync(fd, bytes, done, bytes.length - done, this.#length + done);
    } catch (cause) {
      throw writeFailure(this.#path, cause);
    }
  }

  #take(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#length += chunk.length;
  }

  #verify(): void {
    const digest = `sha256:${this.#hash.digest("hex")}`;
    if (digest !== this.#job.digest) throw this.#verificationFailure(`its digest is ${digest}`);
  }
}
