/** What a build is asked for about caches that are kept elsewhere: where to look for steps, and where to leave its own. */
import type { Digest } from "../../base/ids.ts";
import type { FormedLayer, LayerForm, LayerSource } from "../../image/mod.ts";
import type { Descriptor } from "../../spec/oci-image.ts";

/** A place that has a cache, or an image with one. */
export interface CachePlace {
  /** Gets the manifest that the place is asked for. */
  manifest(): Promise<{ mediaType: string; bytes: Uint8Array }>;
  /** Gets a document, verified. */
  document(descriptor: Pick<Descriptor, "digest" | "size" | "mediaType">): Promise<Uint8Array>;
  /** Says where the blob of a layer is. */
  layer(blob: Pick<Descriptor, "digest" | "size">): LayerSource;
}

export interface CacheImport {
  /** For people: "registry.example/app:cache". */
  name: string;
  open(): Promise<CachePlace>;
}

/** A place that takes blobs. */
export interface BlobTarget {
  has(digest: Digest): Promise<boolean>;
  write(blob: FormedLayer["blob"], read: FormedLayer["read"]): Promise<void>;
}

/** A place that takes a cache. */
export interface CacheTarget extends BlobTarget {
  /** Stores the manifest under the name that the place is asked for. */
  finish(manifest: FormedLayer["blob"], bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

export interface CacheExport {
  /** For people: "registry" or "client directory". */
  kind: string;
  /** Whether steps that are not part of the image go along. */
  isMax: boolean;
  form: LayerForm;
  /** Whether the manifest is an image's; if not, it is an index. */
  isImage: boolean;
  isOci: boolean;
  /** Whether the build is none the worse for a failure. */
  ignoresErrors: boolean;
  open(): Promise<CacheTarget>;
}
