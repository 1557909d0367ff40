/** Checks manifests and indexes that registries send. */
import { createHash } from "node:crypto";
import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { MEDIA_TYPE, parseDocument } from "../../spec/oci-image.ts";

/** The types that we accept, best first: a registry that has an image in several forms takes the first. */
export const MANIFEST_TYPES: readonly string[] = [
  ...[MEDIA_TYPE.ociIndex, MEDIA_TYPE.ociManifest, MEDIA_TYPE.dockerIndex, MEDIA_TYPE.dockerManifest],
];
const SCHEMA1_TYPE = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(json|prettyjws)$/;

/** The content type without parameters; "" if there is none. */
export function contentType(headers: Headers): string {
  return (headers.get("content-type") ?? "").replace(/;.*/s, "").trim();
}

export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
}

export function isDigest(tagOrDigest: string): boolean {
  return tagOrDigest.includes(":");
}

/**
 * The document's type: what the document says, or else the registry's header. A registry may be wrong about what it stores.
 * @throws LighterError ("not-supported") for schema 1, ("invalid") for what is no manifest.
 */
export function documentType(headers: Headers, bytes: Buffer, what: string): string {
  const header = contentType(headers);
  if (header === "text/html") throw new LighterError("invalid", `${what}: the registry answered with a web page`);
  const document = parseDocument(`${bytes}`, what);
  const field = (key: string): unknown =>
    typeof document === "object" && document !== null && Object.hasOwn(document, key)
      ? (document as Record<string, unknown>)[key]
      : undefined;
  if (field("schemaVersion") === 1 || SCHEMA1_TYPE.test(header))
    throw new LighterError(
      "not-supported",
      `${what}: manifest schema version 1 is not supported; push the image again with a current client`,
    );
  const own = field("mediaType");
  for (const type of [own, header]) if (typeof type === "string" && MANIFEST_TYPES.includes(type)) return type;
  if (own === undefined && Array.isArray(field("manifests"))) return MEDIA_TYPE.ociIndex;
  if (own === undefined && Array.isArray(field("layers"))) return MEDIA_TYPE.ociManifest;
  throw new LighterError(
    "invalid",
    `${what}: unsupported manifest media type "${String(own ?? header).slice(0, 100)}"`,
  );
}
