/** Finds steps in caches that are kept elsewhere. A cache that is missing or broken costs a build nothing but the time. */
import { LighterError, messageOf } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { log } from "../../base/log.ts";
import type { FetchedLayer, ImageStore } from "../../image/mod.ts";
import {
  type CachedStep,
  diffIdOf,
  INLINE_CACHE_FIELD,
  parseCacheConfig,
  parseCacheManifest,
  parseInlineRecords,
  stepsOfConfig,
  stepsOfInline,
} from "../../spec/build-cache.ts";
import { MEDIA_TYPE, type Platform, parseImageDocument, parseIndex, parseManifest } from "../../spec/oci-image.ts";
import type { BuildProgress } from "../build/build-progress.ts";
import type { CacheImport, CachePlace } from "./cache-request.ts";

type ImportedSteps = ReadonlyMap<string, CachedStep<FetchedLayer>>;

/** Reads what a place has. @throws LighterError for what is no cache */
export async function readCache(place: CachePlace, platforms: readonly Platform[]): Promise<ImportedSteps> {
  const { mediaType, bytes } = await place.manifest();
  const text = Buffer.from(bytes).toString();
  const manifest = parseCacheManifest(text, mediaType, "cache manifest");
  if (manifest === undefined) return await readInline(place, text, mediaType, platforms);
  const config = Buffer.from(await place.document(manifest.config)).toString();
  const blobs = new Map(manifest.layers.map((blob) => [blob.digest, blob]));
  const steps = new Map<string, CachedStep<FetchedLayer>>();
  for (const [key, { layers, createdAt }] of stepsOfConfig(parseCacheConfig(config, "cache config"))) {
    const fetched = layers.flatMap((digest): FetchedLayer[] => {
      const blob = blobs.get(digest);
      const diffId = blob && diffIdOf(blob);
      return diffId === undefined ? [] : [{ diffId, blob: blob!, source: place.layer(blob!) }];
    });
    if (fetched.length === layers.length) steps.set(key, { layers: fetched, createdAt });
  }
  return steps;
}

/** Reads the caches that are part of an image, or of its forms for these platforms. */
async function readInline(
  place: CachePlace,
  text: string,
  mediaType: string,
  platforms: readonly Platform[],
): Promise<ImportedSteps> {
  if (mediaType !== MEDIA_TYPE.ociIndex && mediaType !== MEDIA_TYPE.dockerIndex) return await readImage(place, text);
  const { manifests } = parseIndex(text, "cache manifest");
  const own = platforms.flatMap(
    ({ os, architecture }) =>
      manifests.find(({ platform }) => platform?.os === os && platform.architecture === architecture) ?? [],
  );
  if (own.length === 0) throw new LighterError("not-found", "the index has no image for this platform");
  const images = own.map(async (each) => readImage(place, Buffer.from(await place.document(each)).toString()));
  return new Map((await Promise.all(images)).flatMap((steps) => [...steps]));
}

async function readImage(place: CachePlace, manifest: string): Promise<ImportedSteps> {
  const { config, layers } = parseManifest(manifest, "cache manifest");
  const document = Buffer.from(await place.document(config)).toString();
  const { rootfs } = parseImageDocument(document, "config");
  const encoded: unknown = JSON.parse(document)[INLINE_CACHE_FIELD];
  if (typeof encoded !== "string") throw new LighterError("not-found", "the image has no inline cache");
  if (layers.length !== rootfs.diff_ids.length)
    throw new LighterError(
      "invalid",
      `the image has ${layers.length} layers, and ${rootfs.diff_ids.length} in its config`,
    );
  const records = parseInlineRecords(Buffer.from(encoded, "base64").toString(), INLINE_CACHE_FIELD);
  const fetched = layers.map((blob, index) => ({ blob, diffId: rootfs.diff_ids[index]!, source: place.layer(blob) }));
  return stepsOfInline(records, fetched);
}

interface ImportOptions {
  images: ImageStore;
  /** What is built for. */
  platforms: readonly Platform[];
  progress: BuildProgress;
  /** The root file systems that the build needs, until it has ended. */
  held: DisposableStack;
  signal: AbortSignal;
}

/** A cache that was read. */
interface ImportedCache {
  name: string;
  steps: ImportedSteps;
}

/** The caches that one build looks into. */
export class ImportedCaches {
  readonly #options: ImportOptions;
  readonly #reading: Promise<ImportedCache[]>;
  /** Those of which a layer could not be had: nothing more is asked of them. */
  readonly #broken = new Set<ImportedCache>();
  /** The snapshots that were made, by key. */
  readonly #made = new Map<string, Promise<string | undefined>>();

  /** Begins to read. */
  constructor(imports: readonly CacheImport[], options: ImportOptions) {
    this.#options = options;
    this.#reading = Promise.all(imports.map((each) => this.#read(each)));
  }

  async #read({ name, open }: CacheImport): Promise<ImportedCache> {
    const { platforms } = this.#options;
    const steps = await this.#told(`importing cache manifest from ${name}`, async () =>
      readCache(await open(), platforms),
    );
    return { name, steps: steps ?? new Map() };
  }

  /** Does what a build can do without: a failure is told. */
  async #told<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    const { progress, signal } = this.#options;
    try {
      return await progress.task(what, work);
    } catch (error) {
      if (!signal.aborted) log.error(`${what}: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** Finds what a step has made, and makes a snapshot of it. Resolves with its id. */
  async find(key: string): Promise<string | undefined> {
    const found = (await this.#reading).filter(({ steps }) => steps.has(key));
    if (found.length === 0) return undefined;
    const made = this.#made.get(key) ?? this.#fetch(key, found);
    this.#made.set(key, made);
    return await made;
  }

  async #fetch(key: string, found: readonly ImportedCache[]): Promise<string | undefined> {
    const { images, held, signal } = this.#options;
    for (const cache of found) {
      if (this.#broken.has(cache)) continue;
      const id = randomId();
      try {
        held.use(await images.fetchSnapshot(id, cache.steps.get(key)!.layers, signal));
        return id;
      } catch (error) {
        signal.throwIfAborted();
        if (this.#broken.has(cache)) continue; // another step has told it
        this.#broken.add(cache);
        await this.#told(`fetching layers of the cache ${cache.name}`, () => Promise.reject(error));
      }
    }
    return undefined;
  }
}
