/** Images in OCI layouts that a client serves: they are no images of the store, a build works with their layers alone. */
import { LighterError } from "../../base/errors.ts";
import { IMAGE_INDEX_MAX_DEPTH } from "../../base/limits.ts";
import { chainIdsOf, choosePlatform, type FetchedLayer, isIndex } from "../../image/mod.ts";
import {
  type ImageDocument,
  type Platform,
  parseImageDocument,
  parseIndex,
  parseManifest,
} from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import type { CachePlace } from "../cache/cache-request.ts";

export interface LayoutImage {
  /** The manifest's. */
  digest: string;
  document: ImageDocument;
  layers: readonly FetchedLayer[];
  /** The id of the snapshot of its layers; "" if it has none. */
  root: string;
}

/** Reads the image for a platform, but for its layers. @throws LighterError for what is no image, and if there is none for the platform */
export async function readLayoutImage(place: CachePlace, first: string, platform: Platform): Promise<LayoutImage> {
  let { mediaType, bytes } = await place.manifest();
  let digest = first;
  for (let depth = 0; isIndex(mediaType); depth++) {
    if (depth > IMAGE_INDEX_MAX_DEPTH)
      throw new LighterError("invalid", `${first}: image indexes are nested deeper than ${IMAGE_INDEX_MAX_DEPTH}`);
    const chosen = choosePlatform(parseIndex(textOf(bytes), digest).manifests, platform);
    if (chosen === undefined)
      throw new LighterError("not-found", `${first} has no image for ${formatPlatform(platform)}`);
    ({ mediaType, digest } = chosen);
    bytes = await place.document(chosen);
  }
  const { config, layers } = parseManifest(textOf(bytes), digest);
  const document = parseImageDocument(textOf(await place.document(config)), `config ${config.digest}`);
  const diffIds = document.rootfs.diff_ids;
  if (layers.length !== diffIds.length)
    throw new LighterError("invalid", `${digest} has ${layers.length} layers, and ${diffIds.length} in its config`);
  const fetched = layers.map((blob, index) => ({ blob, diffId: diffIds[index]!, source: place.layer(blob) }));
  return { digest, document, layers: fetched, root: chainIdsOf(diffIds).at(-1) ?? "" };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}
