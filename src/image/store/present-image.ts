/** Shows an image as the API's callers see it. */

import type { ChainId, Digest } from "../../base/ids.ts";
import { familiarReference, parseReference } from "../../spec/image-reference.ts";
import type { ImageDocument, ImageManifest } from "../../spec/oci-image.ts";
import { chainIdsOf } from "./layers.ts";
import type { StoredImage } from "./staging.ts";

export interface Image {
  /** The digest of the config document. */
  id: Digest;
  manifestDigest: Digest;
  manifestSize: number;
  manifest: ImageManifest;
  document: ImageDocument;
  /** The chainIds of the layers, lowest first. */
  chainIds: ChainId[];
  /** The size of the files in all layers, unpacked. */
  sizeBytes: number;
  /** Familiar names with tag, "hello:latest", sorted. */
  repoTags: string[];
  /** Familiar names with digest, sorted. */
  repoDigests: string[];
}

export function presentImage(image: StoredImage): Image {
  const references = [...image.references].map(parseReference);
  const names = (hasDigest: boolean): string[] =>
    references
      .filter((reference) => (reference.digest !== undefined) === hasDigest)
      .map(familiarReference)
      .sort();
  return {
    id: image.id,
    manifestDigest: image.manifestDigest,
    manifestSize: image.manifestSize,
    manifest: image.manifest,
    document: image.document,
    chainIds: chainIdsOf(image.document.rootfs.diff_ids),
    sizeBytes: image.layers.reduce((sum, layer) => sum + layer.sizeBytes, 0),
    repoTags: names(false),
    repoDigests: names(true),
  };
}
