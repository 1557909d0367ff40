/** An image as it is found in an archive. */
import type { Digest } from "../../base/ids.ts";
import type { Reference } from "../../spec/image-reference.ts";
import type { ImageDocument, ImageManifest } from "../../spec/oci-image.ts";

/** An image as the archive has it. Only its documents have been read so far. */
export interface FoundImage {
  configBytes: Buffer;
  configDigest: Digest;
  document: ImageDocument;
  /** The archive's manifest; undefined if it has none (docker-archive) and the store makes one. */
  manifest: { bytes: Buffer; digest: Digest; parsed: ImageManifest } | undefined;
  /** One for each diffId, lowest first: the file's name, and the digest it must have if the archive names one. */
  layers: { fileName: string; digest: Digest | undefined; mediaType: string | undefined; size: number | undefined }[];
  references: Reference[];
  /** The image among the archive's that it was made from. */
  parentId?: Digest;
}
