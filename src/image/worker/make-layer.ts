/** Makes the new layer of an image that is made here. */
import { join } from "node:path";
import type { BodyForm } from "../../files/mod.ts";
import { decompressStream } from "../tar/compression.ts";
import { writeTreeTar } from "../tar/tree-tar.ts";
import { HashedFile } from "./hashed-file.ts";
import { beat } from "./heartbeat.ts";
import type { MakeJob, TakenFile } from "./protocol.ts";
import { takeFile } from "./take-file.ts";

/**
 * Makes a layer. @throws LighterError ("invalid") if the input is no layer; ("not-supported") for a tree that none can hold;
 * ("kernel").
 */
export async function makeLayer(
  { ingestPath, source }: MakeJob,
  input: (form: BodyForm | undefined) => AsyncIterable<Uint8Array>,
): Promise<TakenFile> {
  const tar = source.kind === "input" ? orEmptyTar(decompressStream(input(source.form))) : treeTar(source);
  let failure: { error: unknown } | undefined;
  const guarded = (async function* () {
    try {
      yield* tar;
    } catch (error) {
      failure = { error };
      throw error;
    }
  })();
  const taken = await (source.kind === "tree" ? writeFile : takeFile)(guarded, { ingestPath, number: 0 });
  if (failure !== undefined) throw (failure as { error: unknown }).error; // the source is broken, not the layer
  return taken;
}

function treeTar({ upperPath, includeRoot, maxMtimeSeconds }: Exclude<MakeJob["source"], { kind: "input" }>) {
  const times = maxMtimeSeconds === undefined ? {} : { maxMtimeSeconds };
  return writeTreeTar([upperPath], { form: "layer", includeRoot, beat, ...times });
}

/** Stores the bytes of a layer whose directory is there already. */
async function writeFile(
  chunks: AsyncIterable<Uint8Array>,
  { ingestPath, number }: { ingestPath: string; number: number },
): Promise<TakenFile> {
  const fileName = `${number}`;
  using file = new HashedFile(join(ingestPath, fileName));
  for await (const chunk of chunks) file.write(chunk);
  return { fileName, ...file.finish() };
}

const EMPTY_TAR = Buffer.alloc(1024);

/** An empty input counts as a tar without entries, as with Docker. */
async function* orEmptyTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let byteCount = 0;
  for await (const chunk of source) {
    byteCount += chunk.length;
    yield chunk;
  }
  if (byteCount === 0) yield EMPTY_TAR;
}
