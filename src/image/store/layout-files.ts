/** Writes `oci-layout` and `index.json`, which make the image store an OCI image layout that other tools can read. */

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { IMAGE_JSON_MAX_BYTES } from "../../base/limits.ts";
import { parseReference } from "../../spec/image-reference.ts";
import { type Descriptor, MEDIA_TYPE, REF_NAME_ANNOTATION } from "../../spec/oci-image.ts";
import { readFileLimited } from "./blobs.ts";
import { writeFileDurably } from "./durable.ts";
import type { StoredImage } from "./staging.ts";

const LAYOUT = '{"imageLayoutVersion":"1.0.0"}';

/** One descriptor for each tag, with the full reference in its annotation; an image without a tag gets one as well. */
function formatIndex(images: Iterable<StoredImage>): string {
  const manifests: Descriptor[] = [];
  for (const image of images) {
    const { architecture, os } = image.document;
    const descriptor: Descriptor = {
      mediaType: image.manifestMediaType,
      digest: image.manifestDigest,
      size: image.manifestSize,
      platform: { architecture, os },
    };
    const tags = [...image.references].filter((name) => parseReference(name).digest === undefined).sort();
    if (tags.length === 0) manifests.push(descriptor);
    for (const name of tags) manifests.push({ ...descriptor, annotations: { [REF_NAME_ANNOTATION]: name } });
  }
  return `${JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests }, undefined, 1)}\n`;
}

export async function writeLayoutFiles(rootPath: string, images: Iterable<StoredImage>): Promise<void> {
  const layoutPath = join(rootPath, "oci-layout");
  if (!existsSync(layoutPath)) await writeFileDurably(layoutPath, LAYOUT);
  const indexPath = join(rootPath, "index.json");
  const text = formatIndex(images);
  if (existsSync(indexPath)) {
    const before = await readFileLimited(indexPath, 16 * IMAGE_JSON_MAX_BYTES, indexPath);
    if (before.toString("utf8") === text) return;
  }
  await writeFileDurably(indexPath, text);
}

/** Removes temp files of a process that was killed; the files that they were to replace are whole. */
export function removeTemporaryLayoutFiles(rootPath: string): void {
  for (const name of ["oci-layout", "index.json"]) rmSync(join(rootPath, `${name}.tmp`), { force: true });
}
