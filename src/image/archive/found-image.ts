import type { Digest } from "../../base/ids.ts";
import type { Reference } from "../../spec/image-reference.ts";
import type { ImageDocument, ImageManifest } from "../../spec/oci-image.ts";

/** An image as the archive has it. Nothing but the documents has been read yet. */
export interface FoundImage {
  configBytes: Buffer;
  configDigest: Digest;
  document: ImageDocument;
  /** As the archive has it; undefined where it has none (docker-archive) and the store makes one. */
  manifest: { bytes: Buffer; digest: Digest; parsed: ImageManifest } | undefined;
  /** One for each diffId, lowest first: the file's name, and the digest it must have where the archive says so. */
  layers: { fileName: string; digest: Digest | undefined; mediaType: string | undefined; size: number | undefined }[];
  references: Reference[];
}
