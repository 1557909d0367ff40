/** Makes images for `commit` and `import`: a config and a new layer on top of those of an image, or of none. */

import { LighterError } from "../../base/errors.ts";
import type { DiffId, Digest } from "../../base/ids.ts";
import { IMAGE_MAX_LAYERS } from "../../base/limits.ts";
import type { Reference } from "../../spec/image-reference.ts";
import { type Descriptor, type ImageDocument, type ImageManifest, MEDIA_TYPE } from "../../spec/oci-image.ts";
import { digestOf, type IngestedFile } from "../store/blobs.ts";
import type { Image } from "../store/present-image.ts";
import type { PackedLayers } from "../store/snapshots.ts";
import type { Staging } from "../store/staging.ts";
import type { ImageStore } from "../store/store.ts";
import type { ImageFiles } from "./archive.ts";
import type { FoundImage } from "./found-image.ts";

export interface NewImage {
  /** The image whose layers come first. */
  base: Image | undefined;
  /** The layers that come first, if no image has them: those of a snapshot that is held. */
  below?: PackedLayers;
  /** The config without the layers. */
  document: Omit<ImageDocument, "rootfs" | "history">;
  /** What is added to the base's history; a list is all of it. */
  history: ImageDocument["history"][number] | ImageDocument["history"];
  /** Makes the new layer, from a tar or from a container's changes. Undefined if there is none. */
  layer: (make: Staging["makeLayer"]) => Promise<IngestedFile | undefined>;
  /** The name that the image gets, if any, with its tag. */
  name: Reference | undefined;
  /** The image that it is made from, in Docker's sense. */
  parentId?: Digest;
}

/** An image of a snapshot, which is held; it has no layer of its own. */
export type SnapshotImage = Pick<NewImage, "document" | "parentId"> & {
  below: PackedLayers;
  history: ImageDocument["history"];
};

/** The digest of an empty tar, which is two zero blocks. As with Docker, it makes no layer. */
const EMPTY_TAR_DIGEST = digestOf(new Uint8Array(1024));

/** Makes an image and resolves with its id. @throws LighterError as `ImageStore.load`, and what `layer` throws. */
export function makeImage(store: ImageStore, request: NewImage): Promise<Digest> {
  return store.add(request.base?.id, async (base, makeLayer) => {
    const made = await request.layer(makeLayer);
    const layer = made?.digest === EMPTY_TAR_DIGEST ? undefined : made;
    return { found: describeImage({ ...request, base }, layer), files: new NewFiles(layer, base) };
  });
}

/** Finds the id that the image will have. */
export function idOfSnapshotImage({ document, history, below }: SnapshotImage): Digest {
  return digestOf(encodeDocument(wholeDocument(document, history, below.diffIds)));
}

/** Stores images of snapshots, all at once. @throws LighterError */
export async function addSnapshotImages(store: ImageStore, images: readonly SnapshotImage[]): Promise<void> {
  const found = images.map((image) => describeImage({ ...image, base: undefined, name: undefined }, undefined));
  await store.addAll(found, new NewFiles(undefined, undefined));
}

const LAYER_NAME = "layer";

/**
 * The files of the new image: its new layer. A blob of the base's, which the store has, is also asked for if its layer was first
 * unpacked from another blob.
 */
class NewFiles implements ImageFiles {
  readonly #layer: IngestedFile | undefined;
  readonly #base: Image | undefined;

  constructor(layer: IngestedFile | undefined, base: Image | undefined) {
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

function wholeDocument(
  document: NewImage["document"],
  history: ImageDocument["history"],
  diffIds: readonly DiffId[],
): ImageDocument {
  return { ...document, rootfs: { type: "layers", diff_ids: [...diffIds] }, history };
}

function encodeDocument(document: ImageDocument): Buffer {
  return Buffer.from(JSON.stringify(document));
}

function describeImage(
  { base, below, document, history, name, parentId }: Omit<NewImage, "layer">,
  layer: IngestedFile | undefined,
): FoundImage {
  const added =
    layer === undefined ? [] : [{ mediaType: MEDIA_TYPE.ociLayer, digest: layer.digest, size: layer.sizeBytes }];
  const layers: Descriptor[] = [...(below?.layers ?? base?.manifest.layers ?? []), ...added];
  if (layers.length > IMAGE_MAX_LAYERS)
    throw new LighterError("invalid", `max depth exceeded: the image would have more than ${IMAGE_MAX_LAYERS} layers`);
  const addedIds = added.map(({ digest }) => digest as string as DiffId);
  const diffIds = [...(below?.diffIds ?? base?.document.rootfs.diff_ids ?? []), ...addedIds];
  const steps = Array.isArray(history)
    ? history
    : [...(base?.document.history ?? []), { ...history, ...(layer === undefined ? { empty_layer: true } : {}) }];
  const whole = wholeDocument(document, steps, diffIds);
  const configBytes = encodeDocument(whole);
  const config = { mediaType: MEDIA_TYPE.ociConfig, digest: digestOf(configBytes), size: configBytes.length };
  const parsed: ImageManifest = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociManifest, config, layers };
  const manifestBytes = Buffer.from(JSON.stringify(parsed));
  return {
    configBytes,
    configDigest: config.digest,
    document: whole,
    manifest: { bytes: manifestBytes, digest: digestOf(manifestBytes), parsed },
    layers: layers.map(({ digest, mediaType, size }) => ({
      fileName: digest === layer?.digest ? LAYER_NAME : digest,
      digest,
      mediaType,
      size,
    })),
    references: name === undefined ? [] : [name],
    ...(parentId === undefined ? {} : { parentId }),
  };
}
