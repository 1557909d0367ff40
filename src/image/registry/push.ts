/**
 * Pushes an image's manifest, bit for bit, with those of its blobs that the registry lacks. Plain layers are first compressed,
 * for good.
 * Sources: distribution-spec 1.1, spec.md#push; for the events, dockerd 26.
 */

import { createReadStream } from "node:fs";
import type { DiffId, Digest } from "../../base/ids.ts";
import type { Reference } from "../../spec/image-reference.ts";
import { type Descriptor, MEDIA_TYPE, parseManifest } from "../../spec/oci-image.ts";
import type { ComposedImage } from "../archive/composed-image.ts";
import { platformIndex } from "../archive/platform-index.ts";
import type { StoredImage } from "../store/staging.ts";
import type { ImageStore } from "../store/store.ts";
import { type LayerCompression, plainLayersOf } from "./compress-image.ts";
import type { RegistryClient } from "./mod.ts";

/** How many layers are sent at a time by default. Docker's number. */
const MAX_UPLOADS = 5;
/** How many repositories are asked to share a blob before it is sent. */
const MAX_MOUNT_ATTEMPTS = 3;
const READ_BYTES = 512 * 1024;

type PushPhase = "Preparing" | "Waiting" | "Pushing" | "Pushed" | "Layer already exists" | `Mounted from ${string}`;

export interface PushedLayerEvent {
  diffId: DiffId;
  phase: PushPhase;
  currentBytes?: number;
  totalBytes?: number;
}

export interface PushOptions {
  /** A client for the repository, for "pull,push". */
  client: RegistryClient;
  onEvent: (event: PushedLayerEvent) => void;
  signal?: AbortSignal;
  /** How many layers are sent at a time. */
  maxUploads?: number;
  /** Whether the tag is given to something else, and the registry is to have the manifest by its digest alone. */
  isUntagged?: boolean;
}

/** The manifest that the registry now has under the tag. */
export interface PushedManifest {
  tag: string;
  digest: Digest;
  sizeBytes: number;
}

/** Pushes an image. @throws what the client throws; `signal`'s reason. */
export async function pushImage(
  store: ImageStore,
  image: StoredImage,
  reference: Reference,
  options: PushOptions,
): Promise<PushedManifest> {
  const sent = await compressAndSend(store, image, reference, options);
  return store.hold(image, async () => {
    const { client, onEvent, signal, maxUploads = MAX_UPLOADS } = options;
    const repository = `${reference.domain}/${reference.path}`;
    const diffIds = image.document.rootfs.diff_ids;
    // A layer that an image has twice is sent once.
    const layers = new Map(
      image.manifest.layers.map((layer, index) => [layer.digest, { layer, diffId: diffIds[index]! }]),
    );
    for (const digest of sent) layers.delete(digest);
    for (const { diffId } of layers.values()) onEvent({ diffId, phase: "Preparing" });
    let begun = 0;
    await forEachAtOnce(maxUploads, [...layers.values()], async ({ layer, diffId }) => {
      signal?.throwIfAborted();
      if (++begun === maxUploads)
        for (const waiting of [...layers.values()].slice(begun)) onEvent({ diffId: waiting.diffId, phase: "Waiting" });
      await pushLayer(store, layer, reference, client, sayFor(onEvent, diffId, layer));
    });
    const { config } = image.manifest;
    if (!(await client.hasBlob(config.digest)))
      await client.uploadBlob(config, () => createReadStream(store.blobPath(config.digest)));
    const bytes = new TextEncoder().encode(await store.readDocument(image.manifestDigest));
    const tag = reference.tag!;
    const name = options.isUntagged === true ? image.manifestDigest : tag;
    const digest = await client.putManifest(name, image.manifestMediaType, bytes);
    await store.notePlace(image, repository, digest);
    return { tag, digest, sizeBytes: bytes.length };
  });
}

/** Pushes a composed image under a tag, or under its digest alone. Resolves with the digest. @throws as `pushImage` */
export async function pushComposed(
  { blobs, root }: ComposedImage,
  tag: string | undefined,
  { client, signal, maxUploads = MAX_UPLOADS }: Omit<PushOptions, "onEvent">,
): Promise<Digest> {
  const all = [...blobs.values()];
  await forEachAtOnce(
    maxUploads,
    all.filter(({ isManifest }) => !isManifest),
    async ({ descriptor, read }) => {
      signal?.throwIfAborted();
      if (!(await client.hasBlob(descriptor.digest))) await client.uploadBlob(descriptor, read);
    },
  );
  for (const { descriptor, read, isManifest } of all) {
    if (!isManifest) continue;
    const isRoot = descriptor.digest === root.digest;
    const bytes = new Uint8Array(Buffer.concat(await Array.fromAsync(read())));
    await client.putManifest(isRoot && tag !== undefined ? tag : descriptor.digest, descriptor.mediaType, bytes);
  }
  return root.digest;
}

/** Pushes an image's forms for several platforms, and an index of them. */
export async function pushIndex(
  store: ImageStore,
  forms: readonly StoredImage[],
  reference: Reference,
  options: PushOptions,
): Promise<PushedManifest> {
  for (const form of forms) await pushImage(store, form, reference, { ...options, isUntagged: true });
  const { descriptor, bytes } = platformIndex(forms);
  const tag = reference.tag!;
  const digest = await options.client.putManifest(tag, descriptor.mediaType, bytes);
  return { tag, digest, sizeBytes: bytes.length };
}

/** Compresses layers, and sends each as soon as it is compressed. Resolves with the compressed ones. */
async function compressAndSend(
  store: ImageStore,
  image: StoredImage,
  reference: Reference,
  { client, onEvent, signal }: PushOptions,
): Promise<Set<Digest>> {
  const sent = new Set<Digest>();
  const plain = plainLayersOf(image);
  if (plain.length === 0) return sent;
  await client.hasBlob(image.id); // a client that may not push hears of it before the work
  for (const index of plain) onEvent({ diffId: image.document.rootfs.diff_ids[index]!, phase: "Preparing" });
  await store.compressLayers(image, {
    compression: await compressionAt(client, reference.tag!),
    onProgress: (diffId, currentBytes, totalBytes) => onEvent({ diffId, phase: "Preparing", currentBytes, totalBytes }),
    onCompressed: async (diffId, layer) => {
      if (sent.has(layer.digest)) return;
      sent.add(layer.digest);
      await pushLayer(store, layer, reference, client, sayFor(onEvent, diffId, layer));
    },
    ...(signal && { signal }),
  });
  return sent;
}

type Say = (phase: PushPhase, currentBytes?: number) => void;

function sayFor(onEvent: PushOptions["onEvent"], diffId: DiffId, { size }: Pick<Descriptor, "size">): Say {
  return (phase, currentBytes) =>
    onEvent({ diffId, phase, ...(currentBytes === undefined ? {} : { currentBytes, totalBytes: size }) });
}

/** The compression to use: zstd if that is what the registry has under the tag, else gzip, which every client reads. */
async function compressionAt(client: RegistryClient, tag: string): Promise<LayerCompression> {
  const there = await client.replacedManifest(tag);
  if (there?.descriptor.mediaType !== MEDIA_TYPE.ociManifest) return "gzip";
  const { layers } = parseManifest(`${there.bytes}`, there.descriptor.digest);
  return layers.some(({ mediaType }) => mediaType === MEDIA_TYPE.ociLayerZstd) ? "zstd" : "gzip";
}

async function pushLayer(
  store: ImageStore,
  layer: Pick<Descriptor, "digest" | "size">,
  { domain, path }: Reference,
  client: RegistryClient,
  say: Say,
): Promise<void> {
  if (await client.hasBlob(layer.digest)) return say("Layer already exists");
  const others = store
    .placesOf(layer.digest)
    .filter((place) => place.startsWith(`${domain}/`) && place !== `${domain}/${path}`)
    .map((place) => place.slice(domain.length + 1));
  for (const other of others.slice(0, MAX_MOUNT_ATTEMPTS))
    if (await client.mountBlob(layer.digest, other)) return say(`Mounted from ${other}`);
  say("Pushing", 0);
  await client.uploadBlob(
    layer,
    () => createReadStream(store.blobPath(layer.digest), { highWaterMark: READ_BYTES }),
    (sentBytes) => say("Pushing", sentBytes),
  );
  say("Pushed");
}

/** Works on several items at a time. Ends with the first failure, once none of the others is running. */
async function forEachAtOnce<T>(count: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const take = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        await work(item);
      } catch (error) {
        queue.length = 0;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: count }, take));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
