/** Compresses a layer's tar for a registry. The same tar gives the same bytes. */
import { createHash } from "node:crypto";
import { LighterError } from "../../base/errors.ts";
import { compressStream, readDecompressed } from "../tar/compression.ts";
import { HashedFile } from "./hashed-file.ts";
import type { BlobResult, CompressJob, LayerProgress } from "./protocol.ts";

/**
 * Compresses a layer. @throws LighterError ("invalid") if the tar is not that of the diffId; ("kernel") with the errno, such as
 * ENOSPC.
 */
export async function compressLayer(
  { sourcePath, targetPath, diffId, compression, level }: CompressJob,
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
  using file = new HashedFile(targetPath);
  for await (const chunk of compressStream(tar, compression, level)) file.write(chunk);
  const result = file.finish();
  const found = `sha256:${unpacked.digest("hex")}`;
  if (found !== diffId) throw new LighterError("invalid", `its content has the digest ${found}`);
  return result;
}
