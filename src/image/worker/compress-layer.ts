/** A layer's tar in the compression that a registry is to have. The same tar gives the same bytes. */
import { createHash } from "node:crypto";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { errnoOf, LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { compressStream, readDecompressed } from "../compression.ts";
import type { BlobResult, CompressJob, LayerProgress } from "./protocol.ts";

/** @throws LighterError ("invalid") if the tar is not that of the diffId; ("kernel") with the errno, such as ENOSPC. */
export async function compressLayer(
  { sourcePath, targetPath, diffId, compression }: CompressJob,
  onProgress: (progress: LayerProgress) => void,
): Promise<BlobResult> {
  const unpacked = createHash("sha256");
  const progress: LayerProgress = { receivedBytes: 0, unpackedBytes: 0 };
  const tar = (async function* () {
    for await (const chunk of readDecompressed(sourcePath)) {
      unpacked.update(chunk);
      progress.unpackedBytes += chunk.length;
      onProgress(progress);
      yield chunk;
    }
  })();
  const result = await writeHashed(targetPath, compressStream(tar, compression));
  const found = `sha256:${unpacked.digest("hex")}`;
  if (found !== diffId) throw new LighterError("invalid", `its content has the digest ${found}`);
  return result;
}

/** Into a new file. @throws LighterError ("kernel"). */
async function writeHashed(path: string, bytes: AsyncIterable<Uint8Array>): Promise<BlobResult> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    for await (const chunk of bytes) {
      hash.update(chunk);
      for (let done = 0; done < chunk.length; ) done += writeSync(fd, chunk, done);
      sizeBytes += chunk.length;
    }
  } catch (cause) {
    if (cause instanceof LighterError) throw cause;
    const errno = errnoOf(cause);
    throw new LighterError("kernel", `write the compressed layer: ${errno}`, { errno, cause });
  } finally {
    closeSync(fd);
  }
  return { digest: `sha256:${hash.digest("hex")}` as Digest, sizeBytes };
}
