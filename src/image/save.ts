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
import { LighterError } from "../base/errors.ts";
import type { Digest } from "../base/ids.ts";
import {
  CONTAINERD_NAME_ANNOTATION,
  type Descriptor,
  MEDIA_TYPE,
  type Platform,
  REF_NAME_ANNOTATION,
} from "../spec/oci-image.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  isNameOnly,
  isSameRepository,
  parseReference,
  type Reference,
  withDefaultTag,
} from "./reference.ts";
import type { Image, ImageStore } from "./store.ts";
import { encodeTarHeader, plainTarEntry, TAR_END, tarPaddingBytes } from "./tar-writer.ts";

const READ_BYTES = 1024 * 1024;
const readAsync = promisify(read);

interface ChosenImage {
  image: Image;
  /** With a tag each. */
  names: Reference[];
}

/**
 * The tar's bytes. Everything that goes into it is open when this returns, so that later removals do not matter; close
 * it by running the stream to its end or calling its `return`.
 * `names`: as for `ImageStore.get`; a name without a tag means all its tags, an id no name at all.
 * @throws LighterError ("not-found", "invalid"), at once.
 */
export function saveImages(
  store: ImageStore,
  names: readonly string[],
  platform?: Platform,
): AsyncGenerator<Uint8Array, void> {
  const chosen = chooseImages(store, names);
  for (const [index, { image }] of chosen.entries()) requirePlatform(image, names[index] ?? image.id, platform);
  const blobs = new Map<Digest, number>();
  try {
    for (const digest of digestsOf(chosen)) blobs.set(digest, store.openBlob(digest));
  } catch (error) {
    for (const fd of blobs.values()) closeSync(fd);
    throw error;
  }
  return writeArchive(chosen, blobs);
}

function chooseImages(store: ImageStore, names: readonly string[]): ChosenImage[] {
  const chosen = new Map<Digest, ChosenImage>();
  const choose = (image: Image, reference?: Reference): void => {
    const entry = chosen.get(image.id) ?? { image, names: [] };
    chosen.set(image.id, entry);
    if (reference?.tag === undefined) return;
    const name = { domain: reference.domain, path: reference.path, tag: reference.tag };
    if (!entry.names.some((other) => formatReference(other) === formatReference(name))) entry.names.push(name);
  };
  for (const name of names) {
    const image = findImage(store, name);
    if (image !== undefined) choose(image, nameOf(image, name));
    if (image === undefined || nameOf(image, name) !== undefined)
      for (const [other, reference] of tagsOf(store, name)) choose(other, reference);
    if (image === undefined && tagsOf(store, name).length === 0)
      throw new LighterError("not-found", `No such image: ${name}`);
  }
  return [...chosen.values()];
}

function findImage(store: ImageStore, name: string): Image | undefined {
  try {
    return store.get(name);
  } catch (error) {
    if (error instanceof LighterError && error.code === "not-found") return undefined;
    throw error;
  }
}

/** `name` as the reference by which `image` was found; undefined if it was by its id. */
function nameOf(image: Image, name: string): Reference | undefined {
  if (/^(sha256:)?[0-9a-f]{64}$/.test(name)) return undefined;
  const reference = withDefaultTag(parseReference(name));
  const known = [...image.repoTags, ...image.repoDigests];
  const { domain, path, digest } = reference;
  if (digest !== undefined) return { domain, path, digest };
  return known.includes(familiarReference(reference)) ? reference : undefined;
}

/** All tags of a name that has none. */
function tagsOf(store: ImageStore, name: string): [Image, Reference][] {
  if (/^(sha256:)?[0-9a-f]{64}$/.test(name)) return [];
  const wanted = parseReference(name);
  if (!isNameOnly(wanted)) return [];
  return store.list().flatMap((image) =>
    image.repoTags
      .map(parseReference)
      .filter((reference) => isSameRepository(reference, wanted))
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
  blobs: ReadonlyMap<Digest, number>,
): AsyncGenerator<Uint8Array, void> {
  const header = (path: string, mode: number, size: number) => encodeTarHeader(plainTarEntry({ path, mode, size }, 0));
  const document = (path: string, value: object): Uint8Array => {
    const bytes = Buffer.from(JSON.stringify(value));
    return Buffer.concat([header(path, 0o644, bytes.length), bytes, Buffer.alloc(tarPaddingBytes(bytes.length))]);
  };
  try {
    yield Buffer.concat([header("blobs/", 0o755, 0), header("blobs/sha256/", 0o755, 0)]);
    for (const [digest, fd] of blobs) {
      const { size } = fstatSync(fd);
      yield header(blobPath(digest), 0o644, size);
      yield* readWhole(fd, size, digest);
      yield new Uint8Array(tarPaddingBytes(size));
    }
    yield document("index.json", indexOf(chosen));
    yield document("manifest.json", chosen.map(describeForDocker));
    yield document("oci-layout", { imageLayoutVersion: "1.0.0" });
    const repositories = repositoriesOf(chosen);
    if (Object.keys(repositories).length > 0) yield document("repositories", repositories);
    yield TAR_END;
  } finally {
    for (const fd of blobs.values()) closeSync(fd);
  }
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

function indexOf(chosen: readonly ChosenImage[]): object {
  const manifests: Descriptor[] = chosen.flatMap(({ image, names }) => {
    const { mediaType = MEDIA_TYPE.ociManifest } = image.manifest;
    const descriptor: Descriptor = { mediaType, digest: image.manifestDigest, size: image.manifestSize };
    if (names.length === 0) return [descriptor];
    return names.map((name) => ({
      ...descriptor,
      annotations: { [CONTAINERD_NAME_ANNOTATION]: formatReference(name), [REF_NAME_ANNOTATION]: name.tag ?? "" },
    }));
  });
  return { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests };
}

function describeForDocker({ image, names }: ChosenImage): object {
  const { layers } = image.manifest;
  const sources = image.document.rootfs.diff_ids.map((diffId, index) => {
    const { mediaType, size, digest } = layers[index]!;
    return [diffId, { mediaType, size, digest }];
  });
  return {
    Config: blobPath(image.id),
    RepoTags: names.length === 0 ? null : names.map(familiarReference),
    Layers: layers.map(({ digest }) => blobPath(digest)),
    LayerSources: Object.fromEntries(sources),
  };
}

/** {"busybox": {"latest": HEX of the topmost layer}}. */
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
