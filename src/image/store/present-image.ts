/** Shows an image as the API's callers see it. */

import type { ChainId, Digest } from "../../base/ids.ts";
import { familiarReference, parseReference } from "../../spec/image-reference.ts";
import type { ImageDocument, ImageManifest } from "../../spec/oci-image.ts";
import type { ImageIndex } from "./image-index.ts";
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
  /** Familiar names with tag, "hello:latest", in the order of the full names, as with Docker. */
  repoTags: string[];
  /** Familiar names with digest, in the same order. */
  repoDigests: string[];
  /** The image that it was made from, by a step of a build or by a commit; "" if there is none. */
  parentId: Digest | "";
  /** Whether it has no name, but other images were made from it, or it is a form of a named one: lists leave it out. */
  isIntermediate: boolean;
}

export function presentImage(image: StoredImage, index: ImageIndex): Image {
  const references = [...image.references].sort().map(parseReference);
  const names = (hasDigest: boolean): string[] =>
    references.filter((reference) => (reference.digest !== undefined) === hasDigest).map(familiarReference);
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
    parentId: image.parent !== undefined && index.has(image.parent) ? image.parent : "",
    isIntermediate: references.length === 0 && (index.hasChildren(image.id) || index.isForm(image.id)),
  };
}
