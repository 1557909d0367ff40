/**
 * Stores a file that may be a layer, which only its bytes tell: it is hashed and, if it is a layer, unpacked in the same pass.
 */
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { type Compression, detectCompression, peek } from "../tar/compression.ts";
import { looksLikeTar, TAR_BLOCK_BYTES } from "../tar/tar-reader.ts";
import { HashedFile } from "./hashed-file.ts";
import type { TakenFile } from "./protocol.ts";
import { drain, unpackTar } from "./unpack-layer.ts";

interface TakeOptions {
  ingestPath: string;
  /** A number for the names of the file and the directory in there. */
  number: number;
  onUnpacked?: (byteCount: number, compression: Compression) => void;
}

/**
 * Stores a file. A chunk is valid until the next one is asked for. A broken layer is an ordinary file with the reason beside it:
 * nobody may want it.
 * @throws LighterError ("kernel") with the errno, such as ENOSPC.
 */
export async function takeFile(
  chunks: AsyncIterable<Uint8Array>,
  { ingestPath, number, onUnpacked = () => {} }: TakeOptions,
): Promise<TakenFile> {
  const { head, whole } = await peek(chunks, TAR_BLOCK_BYTES);
  const fileName = `${number}`;
  using file = new HashedFile(join(ingestPath, fileName));
  const written = (async function* () {
    for await (const chunk of whole) {
      file.write(chunk);
      yield chunk;
    }
  })();
  const compression = layerCompression(head);
  if (compression === undefined) {
    await drain(written);
    return { fileName, ...file.finish() };
  }
  const directoryName = `${number}.d`;
  try {
    const { totals, digest } = await unpackTar(
      join(ingestPath, directoryName),
      written,
      compression !== "none",
      (byteCount) => onUnpacked(byteCount, compression),
    );
    await drain(written); // bytes after the compressed data belong to the digest
    const blob = file.finish();
    return { fileName, ...blob, layer: { directoryName, diffId: (digest ?? blob.digest) as never, totals } };
  } catch (error) {
    if (!(error instanceof LighterError) || error.code === "kernel") throw error;
    await drain(written);
    return { fileName, ...file.finish(), failure: error };
  }
}

/** The compression of a layer; undefined if it is no layer, or its compression is not one of ours. */
function layerCompression(head: Uint8Array): Compression | undefined {
  try {
    const compression = detectCompression(head);
    return compression !== "none" || looksLikeTar(head) ? compression : undefined;
  } catch {
    return undefined;
  }
}
