/**
 * Finds the images in an archive or directory: `docker save`'s form (manifest.json, old and new; load-legacy.ts has the oldest),
 * skopeo's docker-archive, and the OCI image layout (index.json) as directory or tar. It reads names and documents only; the
 * store takes the layers up and verifies them.
 */

import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { ARCHIVE_MAX_IMAGES, IMAGE_INDEX_MAX_DEPTH } from "../../base/limits.ts";
import { parseReference, type Reference, withDefaultTag } from "../../spec/image-reference.ts";
import {
  CONTAINERD_NAME_ANNOTATION,
  type Descriptor,
  type DockerArchiveImage,
  type ImageDocument,
  MEDIA_TYPE,
  type Platform,
  parseDockerArchive,
  parseImageDocument,
  parseIndex,
  parseManifest,
  REF_NAME_ANNOTATION,
} from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import { digestOf } from "../store/blobs.ts";
import { choosePlatform, isAttestation } from "../store/platform.ts";
import type { ImageFiles } from "./archive.ts";
import type { FoundImage } from "./found-image.ts";
import { findLegacyImages } from "./load-legacy.ts";

const BLOB_NAME = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.json|\.tar)?$/;

/** The digest that a file's name promises, as in "blobs/sha256/HEX", "HEX.json" or "HEX.tar". */
function digestInName(name: string): Digest | undefined {
  const hex = BLOB_NAME.exec(name.replace(/^\.\//, ""))?.[1];
  return hex === undefined ? undefined : (`sha256:${hex}` as Digest);
}

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

function verify(bytes: Uint8Array, expected: Digest | undefined, name: string): Digest {
  const digest = digestOf(bytes);
  if (expected !== undefined && digest !== expected)
    throw invalid(`"${name}" should have the digest ${expected} and has ${digest}`);
  return digest;
}

/** Finds the images, in the archive's order. @throws LighterError ("invalid", "not-supported", "not-found"). */
export async function findImages(files: ImageFiles, platform: Platform): Promise<FoundImage[]> {
  const dockerManifest = await files.readDocument("manifest.json");
  if (dockerManifest !== undefined) {
    const listed = parseDockerArchive(dockerManifest.toString("utf8"), "manifest.json");
    const images: FoundImage[] = [];
    for (const image of listed) images.push(await readDockerImage(files, image));
    if (images.length === 0) throw invalid("manifest.json lists no images");
    return images.map((image, index) => withParent(image, listed[index]!.Parent, images));
  }
  const index = await files.readDocument("index.json");
  if (index !== undefined) return new LayoutReader(files, platform).read(index);
  const repositories = await files.readDocument("repositories");
  if (repositories !== undefined) return findLegacyImages(files, repositories);
  throw invalid("neither manifest.json nor index.json is there: not an image archive");
}

/**
 * Adds the image that this one was made from, if that is in the archive and one step of the history shorter: so there are no
 * circles. Source: moby image/tarexport/load.go.
 */
function withParent(image: FoundImage, parentId: string | undefined, all: readonly FoundImage[]): FoundImage {
  const parent = all.find(({ configDigest }) => configDigest === parentId);
  if (parent === undefined) return image;
  const [longer, shorter] = [image.document.history, parent.document.history];
  const isStep = longer.length - shorter.length === 1;
  const isSame = JSON.stringify(longer.slice(0, shorter.length)) === JSON.stringify(shorter);
  return isStep && isSame ? { ...image, parentId: parent.configDigest } : image;
}

async function readDockerImage(files: ImageFiles, image: DockerArchiveImage): Promise<FoundImage> {
  const configBytes = await files.readDocument(image.Config);
  if (configBytes === undefined)
    throw invalid(`manifest.json names the config "${image.Config}", which is not in the archive`);
  const configDigest = verify(configBytes, digestInName(image.Config), image.Config);
  const document = parseImageDocument(configBytes.toString("utf8"), image.Config);
  requireLayerCount(document, image.Layers.length, "manifest.json");
  return {
    configBytes,
    configDigest,
    document,
    manifest: undefined,
    layers: image.Layers.map((fileName) => ({
      fileName,
      // Only the form "blobs/sha256/HEX" names content; elsewhere HEX may be an id that an old docker made.
      digest: fileName.includes("blobs/sha256/") ? digestInName(fileName) : undefined,
      mediaType: undefined,
      size: undefined,
    })),
    references: image.RepoTags.map((tag) => withDefaultTag(parseReference(tag))),
  };
}

export function requireLayerCount(document: ImageDocument, layerCount: number, where: string): void {
  const diffIdCount = document.rootfs.diff_ids.length;
  if (diffIdCount !== layerCount)
    throw invalid(`${where} lists ${layerCount} layers, but the config's rootfs.diff_ids has ${diffIdCount}`);
}

export function isIndex(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.ociIndex || mediaType === MEDIA_TYPE.dockerIndex;
}

function isManifest(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.ociManifest || mediaType === MEDIA_TYPE.dockerManifest;
}

class LayoutReader {
  #imageCount = 0;

  constructor(
    readonly files: ImageFiles,
    readonly platform: Platform,
  ) {}

  async read(index: Buffer): Promise<FoundImage[]> {
    const layout = await this.files.readDocument("oci-layout");
    if (layout === undefined) throw invalid("index.json without oci-layout: not an OCI image layout");
    const images: FoundImage[] = [];
    for (const descriptor of parseIndex(index.toString("utf8"), "index.json").manifests) {
      if (!isIndex(descriptor.mediaType) && !isManifest(descriptor.mediaType)) continue;
      if (isAttestation(descriptor)) continue;
      const image = await this.#readImage(descriptor, 0);
      const same = images.find((other) => other.configDigest === image.configDigest);
      if (same === undefined) images.push(image);
      else same.references.push(...image.references);
    }
    if (images.length === 0) throw invalid("index.json lists no images");
    return images;
  }

  async #readBlob(descriptor: Descriptor): Promise<Buffer> {
    const name = blobName(descriptor.digest);
    const bytes = await this.files.readDocument(name);
    if (bytes === undefined) throw invalid(`"${name}" is not there`);
    verify(bytes, descriptor.digest, name);
    return bytes;
  }

  async #readImage(descriptor: Descriptor, depth: number): Promise<FoundImage> {
    if (depth > IMAGE_INDEX_MAX_DEPTH) throw invalid(`image indexes are nested deeper than ${IMAGE_INDEX_MAX_DEPTH}`);
    if (++this.#imageCount > ARCHIVE_MAX_IMAGES)
      throw invalid(`the layout has more than ${ARCHIVE_MAX_IMAGES} manifests`);
    const bytes = await this.#readBlob(descriptor);
    const text = bytes.toString("utf8");
    if (isIndex(descriptor.mediaType)) {
      const chosen = this.#choose(parseIndex(text, descriptor.digest).manifests, descriptor.digest);
      return { ...(await this.#readImage(chosen, depth + 1)), references: namesOf(descriptor) };
    }
    const manifest = parseManifest(text, descriptor.digest);
    if (manifest.config.mediaType !== MEDIA_TYPE.ociConfig && manifest.config.mediaType !== MEDIA_TYPE.dockerConfig)
      throw invalid(`manifest ${descriptor.digest} has the config type "${manifest.config.mediaType}": not an image`);
    const configBytes = await this.#readBlob(manifest.config);
    const document = parseImageDocument(configBytes.toString("utf8"), `config ${manifest.config.digest}`);
    requireLayerCount(document, manifest.layers.length, `manifest ${descriptor.digest}`);
    return {
      configBytes,
      configDigest: manifest.config.digest,
      document,
      manifest: { bytes, digest: descriptor.digest, parsed: manifest },
      layers: manifest.layers.map((layer) => ({
        fileName: blobName(layer.digest),
        digest: layer.digest,
        mediaType: layer.mediaType,
        size: layer.size,
      })),
      references: namesOf(descriptor),
    };
  }

  #choose(manifests: readonly Descriptor[], where: string): Descriptor {
    const chosen = choosePlatform(manifests, this.platform);
    if (chosen !== undefined) return chosen;
    const offered = manifests
      .filter((manifest) => !isAttestation(manifest))
      .map(({ platform }) => (platform === undefined ? "unknown" : formatPlatform(platform)))
      .join(", ");
    throw new LighterError("not-found", `index ${where} has no image for ${formatPlatform(this.platform)}`, {
      hint: offered === "" ? "it lists no images" : `it has ${offered}`,
    });
  }
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${digest.slice("sha256:".length)}`;
}

/**
 * The names that a layout gives an image. `org.opencontainers.image.ref.name` may be a full reference ("busybox:1") or, as the
 * spec has it, only a tag ("latest"), which gives the image no name.
 */
function namesOf(descriptor: Descriptor): Reference[] {
  const full = descriptor.annotations?.[CONTAINERD_NAME_ANNOTATION];
  const name = full ?? descriptor.annotations?.[REF_NAME_ANNOTATION];
  if (name === undefined || (full === undefined && !/[:/]/.test(name))) return [];
  return [withDefaultTag(parseReference(name))];
}
