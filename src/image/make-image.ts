/** Images made here: a config and a new layer on top of those of an image, or of none. `commit` and `import`. */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { LighterError } from "../base/errors.ts";
import type { DiffId, Digest } from "../base/ids.ts";
import { IMAGE_MAX_LAYERS } from "../base/limits.ts";
import { type Descriptor, type ImageDocument, type ImageManifest, MEDIA_TYPE } from "../spec/oci-image.ts";
import type { ImageFiles } from "./archive.ts";
import { digestOf, type IngestedFile } from "./blobs.ts";
import type { FoundImage } from "./load.ts";
import type { Image } from "./present-image.ts";
import type { Reference } from "./reference.ts";
import type { ImageStore } from "./store.ts";

export interface NewImage {
  /** Its layers come first. */
  base: Image | undefined;
  /** Everything but the layers. */
  document: Omit<ImageDocument, "rootfs" | "history">;
  history: { created: string; author?: string; created_by?: string; comment?: string };
  /** The layer's tar, uncompressed. */
  layer: AsyncIterable<Uint8Array>;
  /** The name it gets, if any, with its tag. */
  name: Reference | undefined;
}

/** Two zero blocks: a tar of nothing. Docker adds no layer for it, and neither do we. */
const EMPTY_TAR_DIGEST = digestOf(new Uint8Array(1024));

/** Resolves with the id. @throws LighterError as `ImageStore.load`, and what reading `layer` throws. */
export function makeImage(store: ImageStore, request: NewImage): Promise<Digest> {
  return store.add(request.base?.id, async (ingestPath) => {
    const layer = await spoolLayer(request.layer, join(ingestPath, "layer"));
    return { found: describeImage(request, layer), files: new NewFiles(layer, request.base) };
  });
}

async function spoolLayer(layer: AsyncIterable<Uint8Array>, path: string): Promise<IngestedFile> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  const handle = await open(path, "wx", 0o600);
  try {
    for await (const chunk of layer) {
      hash.update(chunk);
      for (let done = 0; done < chunk.length; )
        done += (await handle.write(chunk, done, chunk.length - done, null)).bytesWritten;
      sizeBytes += chunk.length;
    }
  } finally {
    await handle.close();
  }
  return { path, digest: `sha256:${hash.digest("hex")}` as Digest, sizeBytes };
}

const LAYER_NAME = "layer";

/** The new layer. A blob of the base's, which is stored, is asked for too if its layer was first unpacked from another blob. */
class NewFiles implements ImageFiles {
  readonly #layer: IngestedFile;
  readonly #base: Image | undefined;

  constructor(layer: IngestedFile, base: Image | undefined) {
    this.#layer = layer;
    this.#base = base;
  }

  async readDocument(): Promise<undefined> {
    return undefined;
  }

  async ingest(name: string): Promise<IngestedFile | undefined> {
    if (name === LAYER_NAME) return this.#layer;
    const stored = this.#base?.manifest.layers.find(({ digest }) => digest === name);
    return stored && { path: "", digest: stored.digest, sizeBytes: stored.size };
  }
}

function describeImage({ base, document, history, name }: NewImage, layer: IngestedFile): FoundImage {
  const isEmpty = layer.digest === EMPTY_TAR_DIGEST;
  const descriptor = { mediaType: MEDIA_TYPE.ociLayer, digest: layer.digest, size: layer.sizeBytes };
  const layers: Descriptor[] = [...(base?.manifest.layers ?? []), ...(isEmpty ? [] : [descriptor])];
  if (layers.length > IMAGE_MAX_LAYERS)
    throw new LighterError("invalid", `max depth exceeded: the image would have more than ${IMAGE_MAX_LAYERS} layers`);
  const diffIds = [...(base?.document.rootfs.diff_ids ?? []), ...(isEmpty ? [] : [layer.digest as string as DiffId])];
  const whole: ImageDocument = {
    ...document,
    rootfs: { type: "layers", diff_ids: diffIds },
    history: [...(base?.document.history ?? []), { ...history, ...(isEmpty ? { empty_layer: true } : {}) }],
  };
  const configBytes = Buffer.from(JSON.stringify(whole));
  const config = { mediaType: MEDIA_TYPE.ociConfig, digest: digestOf(configBytes), size: configBytes.length };
  const parsed: ImageManifest = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociManifest, config, layers };
  const manifestBytes = Buffer.from(JSON.stringify(parsed));
  return {
    configBytes,
    configDigest: config.digest,
    document: whole,
    manifest: { bytes: manifestBytes, digest: digestOf(manifestBytes), parsed },
    layers: layers.map(({ digest, mediaType, size }) => ({
      fileName: digest === layer.digest ? LAYER_NAME : digest,
      digest,
      mediaType,
      size,
    })),
    references: name === undefined ? [] : [name],
  };
}
