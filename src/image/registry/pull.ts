/**
 * Pulls images: resolves a name to a manifest, gets the manifest's layers side by side, and stores the image under its tag and
 * digest. An image that is up to date costs one HEAD request.
 * Sources: distribution-spec 1.1; for the events and their order, dockerd 26.
 */

import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { IMAGE_INDEX_MAX_DEPTH } from "../../base/limits.ts";
import { counter, histograms } from "../../base/metrics.ts";
import { inSpan } from "../../base/spans.ts";
import { formatReference, type Reference } from "../../spec/image-reference.ts";
import {
  type Descriptor,
  type ImageDocument,
  type ImageManifest,
  MEDIA_TYPE,
  type Platform,
  parseImageDocument,
  parseIndex,
  parseManifest,
} from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import { isIndex, requireLayerCount } from "../archive/load.ts";
import type { LayerEvents, LayerRequest } from "../store/layer-jobs.ts";
import { chainIdsOf } from "../store/layers.ts";
import { choosePlatform, rankPlatform } from "../store/platform.ts";
import type { StagedImage, Staging, StoredImage } from "../store/staging.ts";
import type { ImageStore } from "../store/store.ts";
import type { FetchedManifest, RegistryClient } from "./mod.ts";

const pulls = counter("lighter_image_pulls_total", "Pulls of images", "result", ["new", "up-to-date", "failed"]);
const pulledBytes = counter(
  "lighter_image_pulled_bytes_total",
  "Compressed bytes of layers that pulls have downloaded",
);
const pullTimes = histograms("lighter_image_pull_seconds", "The time that pulls take", [0.1, 0.5, 1, 5, 15, 60, 300]);

export type PullPhase =
  | "Pulling fs layer"
  | "Waiting"
  | "Downloading"
  | "Verifying Checksum"
  | "Download complete"
  | "Extracting"
  | "Pull complete"
  | "Already exists";

/** What happens during a pull. Texts are Docker's. */
export type PullEvent =
  | { kind: "from"; id: string; repository: string }
  | { kind: "layer"; digest: Digest; phase: PullPhase; currentBytes?: number; totalBytes?: number }
  | { kind: "digest"; digest: Digest };

export interface PullOptions {
  client: RegistryClient;
  /** The wanted platform; by default the store's own. */
  platform?: Platform;
  onEvent: (event: PullEvent) => void;
  signal?: AbortSignal;
}

/**
 * Pulls what a tag or digest means. False if the image was there already, under this name. If it fails, whole layers and
 * downloads stay for another try.
 * @throws what the client throws; LighterError naming the layer; `signal`'s reason.
 */
export async function pullImage(store: ImageStore, reference: Reference, options: PullOptions): Promise<boolean> {
  const startMs = performance.now();
  try {
    const isNew = await inSpan("pull", async (span) => {
      span?.set({ "container.image.name": formatReference(reference) });
      return await pullUnlessUpToDate(store, reference, options);
    });
    pulls.add(isNew ? "new" : "up-to-date");
    return isNew;
  } catch (error) {
    pulls.add("failed");
    throw error;
  } finally {
    pullTimes.observe((performance.now() - startMs) / 1000);
  }
}

async function pullUnlessUpToDate(store: ImageStore, reference: Reference, options: PullOptions): Promise<boolean> {
  const { client, onEvent, signal } = options;
  const { domain, path, digest, tag } = reference;
  const tagOrDigest = digest ?? tag!;
  const descriptor = await inSpan("resolve", () => client.resolve(tagOrDigest));
  signal?.throwIfAborted();
  const byDigest: Reference = { domain, path, digest: descriptor.digest };
  const names = digest === undefined ? [{ domain, path, tag: tag! }, byDigest] : [byDigest];
  onEvent({ kind: "from", id: digest === undefined ? tagOrDigest : formatReference(byDigest), repository: path });
  const present = store.referenced(byDigest);
  const isPresent = present !== undefined && serves(present, options.platform ?? store.platform);
  const isUpToDate = isPresent && names.every((name) => store.referenced(name) === present);
  if (!isUpToDate) {
    await store.addStaged({ keepUnfinished: true }, async (staging) => {
      const staged = isPresent
        ? takeUp(present, names, staging)
        : await fetchImage(store, descriptor, () => names, staging, options);
      return { staged: [staged], result: undefined };
    });
    const stored = store.referenced(byDigest); // unless somebody who saw it come has removed it already
    if (stored !== undefined) await store.notePlace(stored, `${domain}/${path}`, descriptor.digest);
  }
  onEvent({ kind: "digest", digest: descriptor.digest });
  return !isUpToDate;
}

/**
 * Pulls an image for `platform` beside the one that has the name, which stays that one's: only the digest of the image's own manifest
 * names this one. Resolves with its id.
 * @throws as `pullImage`
 */
export async function pullBeside(store: ImageStore, reference: Reference, options: PullOptions): Promise<Digest> {
  const { client, signal } = options;
  const { domain, path } = reference;
  const descriptor = await client.resolve(reference.digest ?? reference.tag!);
  signal?.throwIfAborted();
  return await store.addStaged({ keepUnfinished: true }, async (staging) => {
    const namesOf = (digest: Digest) => [{ domain, path, digest }];
    const staged = await fetchImage(store, descriptor, namesOf, staging, options);
    return { staged: [staged], result: staged.image.id };
  });
}

function serves(image: StoredImage, platform: Platform): boolean {
  const { os, architecture, variant } = image.document;
  return rankPlatform(platform, { os, architecture, ...(variant === undefined ? {} : { variant }) }) !== undefined;
}

function takeUp(image: StoredImage, names: Reference[], staging: Staging): StagedImage {
  staging.leaseImage(image);
  return { image, names };
}

async function fetchImage(
  store: ImageStore,
  descriptor: Descriptor,
  namesOf: (manifestDigest: Digest) => Reference[],
  staging: Staging,
  options: PullOptions,
): Promise<StagedImage> {
  staging.warm();
  const { client, onEvent } = options;
  const fetched = await inSpan("manifest", () => fetchManifest(client, descriptor, options.platform ?? store.platform));
  const names = namesOf(fetched.descriptor.digest);
  const manifest = parseManifest(fetched.bytes.toString("utf8"), fetched.descriptor.digest);
  requireImage(manifest);
  const known = store.stored(manifest.config.digest);
  if (known !== undefined) {
    const staged = takeUp(known, names, staging);
    for (const layer of manifest.layers) onEvent({ kind: "layer", digest: layer.digest, phase: "Already exists" });
    return staged;
  }
  const config = await client.getBlob(manifest.config);
  const document = parseImageDocument(config.toString("utf8"), `config ${manifest.config.digest}`);
  requireLayerCount(document, manifest.layers.length, `manifest ${fetched.descriptor.digest}`);
  const layers = await staging.getLayers(layerRequests(manifest, document, staging, options), options.signal);
  await staging.putDocument(config, manifest.config.digest);
  await staging.putDocument(fetched.bytes, fetched.descriptor.digest);
  return {
    image: {
      id: manifest.config.digest,
      manifestDigest: fetched.descriptor.digest,
      manifestSize: fetched.bytes.length,
      manifestMediaType: fetched.descriptor.mediaType,
      manifest,
      document,
      layers,
      references: new Set(),
      lastUsedAtMs: Date.now(),
    },
    names,
  };
}

/** Fetches the platform's manifest, through any indexes. */
async function fetchManifest(
  client: RegistryClient,
  descriptor: Descriptor,
  platform: Platform,
): Promise<FetchedManifest> {
  let digest = descriptor.digest;
  for (let depth = 0; depth <= IMAGE_INDEX_MAX_DEPTH; depth++) {
    const fetched = await client.getManifest(digest);
    if (!isIndex(fetched.descriptor.mediaType)) return fetched;
    const { manifests } = parseIndex(fetched.bytes.toString("utf8"), digest);
    const chosen = choosePlatform(manifests, platform);
    if (chosen === undefined)
      throw new LighterError(
        "not-found",
        `no matching manifest for ${formatPlatform(platform)} in the manifest list entries`,
      );
    digest = chosen.digest;
  }
  throw new LighterError(
    "invalid",
    `${descriptor.digest}: image indexes are nested deeper than ${IMAGE_INDEX_MAX_DEPTH}`,
  );
}

function requireImage({ config }: ImageManifest): void {
  if (config.mediaType === MEDIA_TYPE.ociConfig || config.mediaType === MEDIA_TYPE.dockerConfig) return;
  throw new LighterError("invalid", `unsupported media type ${config.mediaType}: it is no container image`);
}

function layerRequests(
  manifest: ImageManifest,
  document: ImageDocument,
  staging: Staging,
  { client, onEvent }: PullOptions,
): LayerRequest[] {
  const diffIds = document.rootfs.diff_ids;
  const chainIds = chainIdsOf(diffIds);
  const requests = manifest.layers.map((blob, index) => ({
    diffId: diffIds[index]!,
    chainId: chainIds[index]!,
    blob,
    describe: (rejected?: Parameters<RegistryClient["describeBlob"]>[1]) => client.describeBlob(blob, rejected),
    events: layerEvents(blob, onEvent),
  }));
  for (const request of requests)
    if (!staging.hasLayer(request)) onEvent({ kind: "layer", digest: request.blob.digest, phase: "Pulling fs layer" });
  return requests;
}

/** Turns a layer's progress into Docker's events: its downloads and extractions are two steps, ours are one. */
function layerEvents({ digest, size }: Descriptor, onEvent: (event: PullEvent) => void): LayerEvents {
  let isReceived = false;
  const say = (phase: PullPhase): void => onEvent({ kind: "layer", digest, phase });
  const count = (phase: PullPhase, currentBytes: number): void =>
    onEvent({ kind: "layer", digest, phase, currentBytes, totalBytes: size });
  const received = (): void => {
    if (isReceived) return;
    isReceived = true;
    pulledBytes.add("", size);
    say("Verifying Checksum");
    say("Download complete");
    count("Extracting", size);
  };
  return {
    onExists: () => say("Already exists"),
    onWaiting: () => say("Waiting"),
    onProgress: ({ receivedBytes }) => {
      if (receivedBytes < size) count("Downloading", receivedBytes);
      else received();
    },
    onDone: () => {
      received();
      say("Pull complete");
    },
  };
}
