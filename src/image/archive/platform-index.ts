/** The index of an image's forms for several platforms. Source: image-spec image-index.md. */
import { createHash } from "node:crypto";
import type { Digest } from "../../base/ids.ts";
import { type Descriptor, type ImageDocument, type ImageManifest, MEDIA_TYPE } from "../../spec/oci-image.ts";

interface PlatformIndex {
  descriptor: Descriptor;
  bytes: Uint8Array<ArrayBuffer>;
}

interface Form {
  manifest: ImageManifest;
  manifestDigest: Digest;
  manifestSize: number;
  document: ImageDocument;
}

export function manifestDescriptor({ manifest, manifestDigest, manifestSize }: Form): Descriptor {
  const { mediaType = MEDIA_TYPE.ociManifest } = manifest;
  return { mediaType, digest: manifestDigest, size: manifestSize };
}

export function platformIndex(forms: readonly Form[]): PlatformIndex {
  const manifests = forms.map((form) => {
    const { architecture, os, variant } = form.document;
    const platform = { architecture, os, ...(variant === undefined ? {} : { variant }) };
    return { ...manifestDescriptor(form), platform };
  });
  const mediaType = MEDIA_TYPE.ociIndex;
  const bytes = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
  return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
}
