/**
 * Unpacks one layer, in one pass and a few megabytes of memory:
 *
 *   bytes of a registry or file → sha256 → partial file → decompression (thread pool) → sha256 → tar → directory
 */
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { fchmod, fchown, O_DIRECTORY, O_RDONLY } from "../../linux/sys/fs.ts";
import { decompressStream } from "../tar/compression.ts";
import { TarReader } from "../tar/tar-reader.ts";
import { type LayerTotals, LayerUnpacker } from "../tar/unpack.ts";
import { compressedBytes, type OpenBlob } from "./compressed-bytes.ts";
import { beat } from "./heartbeat.ts";
import { MemoryBudget } from "./memory-budget.ts";
import type { LayerJob, LayerProgress, LayerResult } from "./protocol.ts";

/**
 * Gets a layer, and makes its directory if one is wanted. `onProgress` is called for every piece, with an object that changes.
 * @throws LighterError ("invalid") if the bytes are not those asked for, or no layer; ("unavailable") if the registry
 * does not give them; ("kernel") with the errno, such as ENOSPC.
 */
export async function unpackLayer(
  job: LayerJob,
  openBlob: OpenBlob,
  onProgress: (progress: LayerProgress) => void = () => {},
): Promise<LayerResult> {
  const progress: LayerProgress = { receivedBytes: 0, unpackedBytes: 0 };
  const compressed = counted(compressedBytes(job, openBlob), progress, onProgress);
  try {
    const onBytes = (byteCount: number): void => {
      progress.unpackedBytes += byteCount;
      onProgress(progress);
    };
    const { directoryPath } = job;
    const result = directoryPath === undefined ? undefined : await unpackInto(directoryPath, job, compressed, onBytes);
    await drain(compressed); // bytes after the compressed data belong to the digest
    return result;
  } catch (error) {
    // A broken layer may have been tampered with on the way: then the digest, which comes last, is what the error must name.
    if (error instanceof LighterError && error.code === "invalid") await drain(compressed);
    throw error;
  } finally {
    await compressed.return(undefined);
  }
}

async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  progress: LayerProgress,
  onProgress: (progress: LayerProgress) => void,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of bytes) {
    progress.receivedBytes += chunk.length;
    onProgress(progress);
    yield chunk;
  }
}

export async function drain(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of bytes);
}

async function unpackInto(
  directoryPath: string,
  job: LayerJob,
  compressed: AsyncGenerator<Uint8Array>,
  onBytes: (byteCount: number) => void,
): Promise<LayerTotals> {
  // A plain tar is its own compressed form, and hashing costs as much as writing.
  const isHashed = (job.digest as string) !== job.diffId;
  const { totals, digest = job.digest } = await unpackTar(directoryPath, compressed, isHashed, onBytes);
  if (digest !== (job.diffId as string)) throw new LighterError("invalid", `its content has the digest ${digest}`);
  return totals;
}

/**
 * Makes the directory. `compressed` is not ended early: the caller reads on. If `isHashed`, `digest` is that of the unpacked
 * bytes.
 * @throws LighterError ("invalid", "kernel").
 */
export async function unpackTar(
  directoryPath: string,
  compressed: AsyncIterator<Uint8Array>,
  isHashed: boolean,
  onBytes: (byteCount: number) => void,
): Promise<{ totals: LayerTotals; digest: Digest | undefined }> {
  mkdirSync(directoryPath, { mode: 0o755 });
  const rootFd = openSync(directoryPath, O_RDONLY | O_DIRECTORY);
  const unpacker = new LayerUnpacker(rootFd);
  try {
    fchmod(rootFd, 0o755, directoryPath); // whatever our umask is
    fchown(rootFd, 0, 0, directoryPath); // whatever a setgid parent says
    const reader = new TarReader(unpacker);
    const budget = new MemoryBudget();
    const hash = isHashed ? createHash("sha256") : undefined;
    const endless = { [Symbol.asyncIterator]: () => ({ next: () => compressed.next() }) }; // no return: see drain
    for await (const chunk of decompressStream(endless)) {
      hash?.update(chunk);
      reader.push(chunk);
      budget.spend(chunk.length);
      beat();
      onBytes(chunk.length);
    }
    reader.end();
    const digest = hash && (`sha256:${hash.digest("hex")}` as Digest);
    return { totals: unpacker.finish(), digest };
  } finally {
    unpacker.close();
    closeSync(rootFd);
  }
}
