/**
 * Writes images as one tar that old and new readers take, as Docker does since version 25:
 *
 *   oci-layout, index.json, blobs/sha256/…    an OCI image layout, one descriptor for each name
 *   manifest.json, repositories               the same for `docker load` of any age, skopeo's docker-archive, …
 *
 * Blobs and manifests are the stored ones, byte for byte, so that every digest survives. The same images give the same tar.
 * Sources: image-spec image-layout.md; Docker image spec v1.2; what Docker 26.1 writes.
 */

import { closeSync, fstatSync, read } from "node:fs";
import { promisify } from "node:util";
import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  isNameOnly,
  isSameRepository,
  parseReference,
  type Reference,
} from "../../spec/image-reference.ts";
import {
  CONTAINERD_NAME_ANNOTATION,
  type Descriptor,
  MEDIA_TYPE,
  type Platform,
  REF_NAME_ANNOTATION,
} from "../../spec/oci-image.ts";
import type { Image } from "../store/present-image.ts";
import type { ImageStore } from "../store/store.ts";
import { encodeTarHeader, plainTarEntry, TAR_END, tarPaddingBytes } from "../tar/tar-writer.ts";
import type { ComposedImage } from "./composed-image.ts";
import { manifestDescriptor } from "./platform-index.ts";

const READ_BYTES = 1024 * 1024;
const readAsync = promisify(read);

interface ChosenImage {
  image: Image;
  /** The name for it that the client used first. */
  asked: string;
  /** References with a tag. */
  names: readonly Reference[];
}

/**
 * The tar's bytes. All that goes into it is opened before the first of them, so that later removals do not matter. `names` are as
 * for `ImageStore.get`; a name without a tag means all its tags, an id no name at all.
 * @throws LighterError ("not-found", "invalid"), before the first byte.
 */
export async function* saveImages(
  store: ImageStore,
  names: readonly string[],
  platform?: Platform,
): AsyncGenerator<Uint8Array> {
  const chosen = chooseImages(store, names);
  for (const { image, asked } of chosen) requirePlatform(image, asked, platform);
  const fds = new Map<Digest, number>();
  try {
    for (const digest of digestsOf(chosen)) fds.set(digest, store.openBlob(digest));
    const blobs = [...fds].map(([digest, fd]): ArchiveBlob => {
      const { size } = fstatSync(fd);
      return { descriptor: { digest, size }, read: () => readWhole(fd, size, digest) };
    });
    yield* writeArchive(chosen, blobs);
  } finally {
    for (const fd of fds.values()) closeSync(fd);
  }
}

type ArchiveBlob = { descriptor: Pick<Descriptor, "digest" | "size">; read: () => AsyncIterable<Uint8Array> };

/**
 * The tar of a composed image, with these names whether it has them or not. "oci" is an image layout alone, "docker" has Docker's
 * documents, too.
 */
export async function* writeComposedArchive(
  { images, blobs, root }: ComposedImage,
  names: readonly Reference[],
  form: "docker" | "oci",
): AsyncGenerator<Uint8Array> {
  const chosen = images.map((image) => ({ image, names, asked: image.id }));
  yield* writeArchive(chosen, blobs.values(), { form, root });
}

function chooseImages(store: ImageStore, names: readonly string[]): ChosenImage[] {
  const chosen = new Map<Digest, ChosenImage>();
  for (const asked of names) {
    const found = imagesMeant(store, asked);
    if (found.length === 0) throw new LighterError("not-found", `No such image: ${asked}`);
    for (const [image, name] of found) {
      const { names: before, ...entry } = chosen.get(image.id) ?? { image, asked, names: [] };
      const isNew = name && !before.some((other) => formatReference(other) === formatReference(name));
      chosen.set(image.id, { ...entry, names: isNew ? [...before, name] : before });
    }
  }
  return [...chosen.values()];
}

/** The images that a name means, each with its tag, or without one if it was found by id or digest. */
function imagesMeant(store: ImageStore, asked: string): [Image, Reference | undefined][] {
  const isId = /^(sha256:)?[0-9a-f]{64}$/.test(asked);
  const reference = isId ? undefined : parseReference(asked);
  if (reference !== undefined && isNameOnly(reference)) {
    const tags = tagsOf(store, reference);
    if (tags.length > 0) return tags;
  }
  try {
    const image = store.get(asked);
    const isByTag = reference?.tag !== undefined && reference.digest === undefined;
    return [[image, isByTag ? reference : undefined]];
  } catch (error) {
    if (error instanceof LighterError && error.code === "not-found") return [];
    throw error;
  }
}

function tagsOf(store: ImageStore, repository: Reference): [Image, Reference][] {
  return store.list().flatMap((image) =>
    image.repoTags
      .map(parseReference)
      .filter((reference) => isSameRepository(reference, repository))
      .map((reference): [Image, Reference] => [image, reference]),
  );
}

function requirePlatform({ document }: Image, name: string, platform: Platform | undefined): void {
  if (platform === undefined) return;
  const { os, architecture, variant } = platform;
  const fits =
    os === document.os &&
    architecture === document.architecture &&
    (variant === undefined || document.variant === undefined || variant === document.variant);
  if (fits) return;
  const wanted = [os, architecture, variant].filter((part) => part !== undefined).join("/");
  throw new LighterError(
    "not-found",
    `image with reference ${name} was found but does not provide the specified platform (${wanted})`,
  );
}

function digestsOf(chosen: readonly ChosenImage[]): Digest[] {
  const digests = new Set<Digest>();
  for (const { image } of chosen) {
    digests.add(image.manifestDigest).add(image.id);
    for (const layer of image.manifest.layers) digests.add(layer.digest);
  }
  return [...digests].sort();
}

async function* writeArchive(
  chosen: readonly ChosenImage[],
  blobs: Iterable<ArchiveBlob>,
  { form = "docker", root }: { form?: "docker" | "oci"; root?: Descriptor } = {},
): AsyncGenerator<Uint8Array> {
  yield Buffer.concat([header("blobs/", 0o755, 0), header("blobs/sha256/", 0o755, 0)]);
  const configTimes = new Map(chosen.map(({ image }) => [image.id, createdSeconds(image)]));
  for (const { descriptor, read: readBlob } of blobs) {
    const { digest, size } = descriptor;
    yield header(blobPath(digest), 0o644, size, configTimes.get(digest));
    yield* readBlob();
    yield new Uint8Array(tarPaddingBytes(size));
  }
  const described =
    root === undefined
      ? chosen.map(({ image, names }) => ({ descriptor: manifestDescriptor(image), names }))
      : [{ descriptor: root, names: chosen[0]!.names }];
  yield document("index.json", indexOf(described));
  if (form === "docker")
    yield document(
      "manifest.json",
      chosen.map((each) => describeForDocker(each, new Set(chosen.map(({ image }) => image.id)))),
    );
  yield document("oci-layout", { imageLayoutVersion: "1.0.0" });
  const repositories = repositoriesOf(chosen);
  if (form === "docker" && Object.keys(repositories).length > 0) yield document("repositories", repositories);
  yield TAR_END;
}

/** The time for an image's config file, which is the image's own, as with Docker. */
function createdSeconds({ document }: Image): number {
  return Math.max(0, Math.floor((Date.parse(document.created ?? "") || 0) / 1000));
}

function header(path: string, mode: number, size: number, mtimeSeconds = 0): Buffer {
  return encodeTarHeader(plainTarEntry({ path, mode, size }, mtimeSeconds));
}

function document(path: string, value: object): Buffer {
  return file(path, Buffer.from(JSON.stringify(value)));
}

function file(path: string, bytes: Uint8Array): Buffer {
  return Buffer.concat([header(path, 0o644, bytes.length), bytes, Buffer.alloc(tarPaddingBytes(bytes.length))]);
}

async function* readWhole(fd: number, size: number, digest: Digest): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; ) {
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size - at));
    const { bytesRead } = await readAsync(fd, buffer, 0, buffer.length, at);
    if (bytesRead === 0) throw new LighterError("internal", `blob ${digest} has become shorter`);
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function blobPath(digest: Digest): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function indexOf(described: readonly { descriptor: Descriptor; names: readonly Reference[] }[]): object {
  const manifests: Descriptor[] = described.flatMap(({ descriptor, names }) => {
    if (names.length === 0) return [descriptor];
    return names.map((name) => ({
      ...descriptor,
      annotations: {
        ...descriptor.annotations,
        [CONTAINERD_NAME_ANNOTATION]: formatReference(name),
        [REF_NAME_ANNOTATION]: name.tag ?? "",
      },
    }));
  });
  return { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests };
}

function describeForDocker({ image, names }: ChosenImage, ids: ReadonlySet<string>): object {
  const { layers } = image.manifest;
  const sources = image.document.rootfs.diff_ids.map((diffId, index) => {
    const { mediaType, size, digest } = layers[index]!;
    return [diffId, { mediaType, size, digest }];
  });
  return {
    Config: blobPath(image.id),
    RepoTags: names.length === 0 ? null : names.map(familiarReference),
    Layers: layers.map(({ digest }) => blobPath(digest)),
    ...(ids.has(image.parentId) ? { Parent: image.parentId } : {}),
    LayerSources: Object.fromEntries(sources),
  };
}

/** The content of `repositories`: {"busybox": {"latest": HEX of the topmost layer}}. */
function repositoriesOf(chosen: readonly ChosenImage[]): Record<string, Record<string, string>> {
  const repositories = new Map<string, [tag: string, hex: string][]>();
  for (const { image, names } of chosen) {
    const top = image.manifest.layers.at(-1)?.digest.slice("sha256:".length);
    if (top === undefined) continue;
    for (const name of names) {
      const repository = familiarName(name);
      repositories.set(repository, [...(repositories.get(repository) ?? []), [name.tag ?? "", top]]);
    }
  }
  return Object.fromEntries([...repositories].map(([name, tags]) => [name, Object.fromEntries(tags)]));
}
