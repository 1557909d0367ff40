/**
 * An image as it leaves: for one platform or several, with layers in the form that is asked for, annotations and attestations. The
 * stored image stays as it is.
 *
 *   index ──► manifest of each platform ──► config, layers
 *         └─► attestation of each manifest: statements of how it was made
 *
 * Without a second platform or an attestation there is no index. Sources: image-spec manifest.md, image-index.md; moby/buildkit
 * docs/attestations/attestation-storage.md.
 */
import { createReadStream } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import type { DiffId, Digest } from "../../base/ids.ts";
import {
  type Descriptor,
  dockerLayerType,
  type ImageManifest,
  MEDIA_TYPE,
  type Platform,
} from "../../spec/oci-image.ts";
import { digestOf } from "../store/blobs.ts";
import type { FormedLayers } from "../store/formed-layers.ts";
import type { Image } from "../store/present-image.ts";
import type { ImageStore } from "../store/store.ts";

export type AnnotationLevel = "manifest" | "index" | "manifest-descriptor" | "index-descriptor";
/** Gives the annotations of a level; of a platform, where that makes a difference. */
export type Annotations = (level: AnnotationLevel, platform?: Platform) => Record<string, string>;

/** A statement of in-toto about an image. */
export interface Attestation {
  predicateType: string;
  /** Writes it about the manifest. */
  statement(manifest: Digest): object;
}

interface ComposeOptions {
  layers: FormedLayers;
  /** The family of media types; undefined: the stored ones. */
  isOci: boolean | undefined;
  annotations: Annotations;
  /** What is said of the image with that index. */
  attestations: (index: number) => readonly Attestation[];
  signal: AbortSignal;
}

interface ComposedBlob {
  descriptor: Descriptor;
  read: () => AsyncIterable<Uint8Array>;
  /** Whether registries know it as a manifest. */
  isManifest: boolean;
}

export interface ComposedImage {
  /** The images, with the manifests that they have here. */
  images: Image[];
  /** All that `root` is made of, by digest; what is named by others before them. */
  blobs: Map<Digest, ComposedBlob>;
  /** The index or the only manifest. */
  root: Descriptor;
  hasIndex: boolean;
}

const ATTESTATION_TYPE = "application/vnd.in-toto+json";
const UNKNOWN_PLATFORM = { architecture: "unknown", os: "unknown" };
const READ_BYTES = 512 * 1024;

/** Composes what these images are elsewhere, one for each platform. @throws LighterError "invalid" for annotations of no index */
export async function composeImage(
  store: ImageStore,
  images: readonly Image[],
  options: ComposeOptions,
): Promise<ComposedImage> {
  const blobs = new Map<Digest, ComposedBlob>();
  const put = (mediaType: string, bytes: Uint8Array, isManifest: boolean): Descriptor => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    blobs.set(descriptor.digest, { descriptor, read: () => piecesOf(bytes), isManifest });
    return descriptor;
  };
  const { annotations, attestations, isOci } = options;
  const composed: Image[] = [];
  const manifests: Descriptor[] = [];
  const statements: Descriptor[] = [];
  for (const [index, image] of images.entries()) {
    const platform = platformOf(image);
    const { manifest, bytes } = await manifestOf(store, image, platform, options, blobs);
    const descriptor = put(manifest.mediaType ?? MEDIA_TYPE.ociManifest, bytes, true);
    composed.push({ ...image, manifest, manifestDigest: descriptor.digest, manifestSize: bytes.length });
    manifests.push(annotated({ ...descriptor, platform }, annotations("manifest-descriptor", platform)));
    const about = attestations(index).map((each) => statementOf(each, descriptor.digest, put));
    if (about.length > 0) statements.push(attestationOf(about, descriptor.digest, put));
  }
  if (images.length === 1 && statements.length === 0) {
    if (isEmpty(annotations("index")) && isEmpty(annotations("index-descriptor"))) {
      const { platform: _, ...root } = manifests[0]!;
      return { images: composed, blobs, root, hasIndex: false };
    }
    throw new LighterError("invalid", "index annotations not supported for single platform export");
  }
  const mediaType = isOci === false ? MEDIA_TYPE.dockerIndex : MEDIA_TYPE.ociIndex;
  const document = annotated(
    { schemaVersion: 2, mediaType, manifests: [...manifests, ...statements] },
    annotations("index"),
  );
  const root = put(mediaType, Buffer.from(JSON.stringify(document)), true);
  return { images: composed, blobs, root: annotated(root, annotations("index-descriptor")), hasIndex: true };
}

type Put = (mediaType: string, bytes: Uint8Array, isManifest: boolean) => Descriptor;

/** Makes an image's manifest, unless the stored one is what is asked for, and adds what it names to the blobs. */
async function manifestOf(
  store: ImageStore,
  image: Image,
  platform: Platform,
  { layers: forms, isOci, annotations, signal }: ComposeOptions,
  blobs: Map<Digest, ComposedBlob>,
): Promise<{ manifest: ImageManifest; bytes: Uint8Array }> {
  const diffIds: readonly DiffId[] = image.document.rootfs.diff_ids;
  const stored = image.manifest.layers.map((blob, index) => ({ blob, diffId: diffIds[index]! }));
  const formed = await Promise.all(stored.map((layer) => forms.of(layer, signal)));
  const { id, manifest: own } = image;
  blobs.set(id, {
    descriptor: own.config,
    read: () => createReadStream(store.blobPath(id), { highWaterMark: READ_BYTES }),
    isManifest: false,
  });
  for (const { blob, read } of formed) blobs.set(blob.digest, { descriptor: blob, read, isManifest: false });
  const notes = annotations("manifest", platform);
  const isSame = formed.every(({ blob }, index) => blob.digest === stored[index]!.blob.digest);
  if (isSame && isOci === undefined && isEmpty(notes))
    return { manifest: own, bytes: Buffer.from(await store.readDocument(image.manifestDigest)) };
  const isDocker = isOci === false;
  const mediaType = isDocker ? MEDIA_TYPE.dockerManifest : MEDIA_TYPE.ociManifest;
  const config = { ...own.config, mediaType: isDocker ? MEDIA_TYPE.dockerConfig : MEDIA_TYPE.ociConfig };
  const layers = formed.map(({ blob }) => (isDocker ? { ...blob, mediaType: dockerLayerType(blob.mediaType) } : blob));
  const manifest: ImageManifest = annotated({ schemaVersion: 2, mediaType, config, layers }, notes);
  return { manifest, bytes: Buffer.from(JSON.stringify(manifest)) };
}

function statementOf({ predicateType, statement }: Attestation, manifest: Digest, put: Put): Descriptor {
  const descriptor = put(ATTESTATION_TYPE, Buffer.from(JSON.stringify(statement(manifest))), false);
  return { ...descriptor, annotations: { "in-toto.io/predicate-type": predicateType } };
}

/** Makes the manifest that holds statements about another one. Its config is one of an image, as registries want it. */
function attestationOf(layers: Descriptor[], about: Digest, put: Put): Descriptor {
  const document = {
    ...UNKNOWN_PLATFORM,
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  };
  const config = put(MEDIA_TYPE.ociConfig, Buffer.from(JSON.stringify(document)), false);
  const mediaType = MEDIA_TYPE.ociManifest;
  const manifest = put(mediaType, Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers })), true);
  const annotations = {
    "vnd.docker.reference.digest": about,
    "vnd.docker.reference.type": "attestation-manifest",
  };
  return { ...manifest, annotations, platform: UNKNOWN_PLATFORM };
}

function platformOf({ document }: Image): Platform {
  const { os, architecture, variant } = document;
  return { architecture, os, ...(variant === undefined ? {} : { variant }) };
}

function annotated<T extends object>(value: T, annotations: Record<string, string>): T {
  return isEmpty(annotations) ? value : { ...value, annotations };
}

function isEmpty(object: object): boolean {
  return Object.keys(object).length === 0;
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
