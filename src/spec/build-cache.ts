/**
 * The cache of a build as BuildKit keeps it in registries, in directories and in images: records of steps, and the layers that they
 * have made.
 *
 *   manifest   an index whose entries are layers and, at last, the config; or an image's manifest of the same
 *   config     {"layers": [{"blob", "parent"}], "records": [{"digest", "layers": [{"layer", "createdAt"}], "inputs"}]}
 *   inline     the records alone, in base64 in an image's config; their layers are the image's
 *
 * A layer's parent, -1 for none, is the one below. Source: moby/buildkit cache/remotecache/v1/doc.go, spec.go.
 */
import { LighterError } from "../base/errors.ts";
import type { DiffId, Digest } from "../base/ids.ts";
import { BUILD_CACHE_MAX_RECORDS, IMAGE_MAX_LAYERS } from "../base/limits.ts";
import { type Descriptor, MEDIA_TYPE, parseDigest, parseIndex, parseManifest } from "./oci-image.ts";
import { integer, list, object, type Reader, readDocument, string } from "./reader.ts";

export const CACHE_CONFIG_TYPE = "application/vnd.buildkit.cacheconfig.v0";
/** The field of an image's config that holds an inline cache. */
export const INLINE_CACHE_FIELD = "moby.buildkit.cache.v0";
/** The annotations of a cache's layers. */
export const DIFF_ID_ANNOTATION = "containerd.io/uncompressed";
export const LAYER_CREATED_ANNOTATION = "buildkit/createdat";

const NO_PARENT = -1;

/** A layer of the config. */
export interface CacheLayer {
  blob: Digest;
  parent: number;
}

/** What a step has made: a layer with those below it, or a list of layers, lowest first. */
interface CacheResult {
  layer: number;
  createdAt: string;
}
interface ChainedResult {
  layers: number[];
  createdAt: string;
}

/** Something that an input of a step may be: the result of another record. */
interface CacheLink {
  link: number;
  selector: string;
}

export interface CacheRecord {
  /** What stands for the step. */
  digest: string;
  layers: CacheResult[];
  chains: ChainedResult[];
  inputs: CacheLink[][];
}

interface CacheConfig {
  layers: CacheLayer[];
  records: CacheRecord[];
}

const index: Reader<number> = integer(0, BUILD_CACHE_MAX_RECORDS - 1);
const digest: Reader<Digest> = (value, path) => parseDigest(value, path);
const defaults = { createdAt: "" };

const readRecords = list(
  object<CacheRecord>(
    {
      digest: string,
      layers: list(object<CacheResult>({ layer: index, createdAt: string }, { defaults, required: ["layer"] })),
      chains: list(
        object<ChainedResult>(
          { layers: list(index, IMAGE_MAX_LAYERS), createdAt: string },
          { defaults, required: ["layers"] },
        ),
      ),
      inputs: list(list(object<CacheLink>({ link: index, selector: string }, { defaults: { link: 0, selector: "" } }))),
    },
    { required: ["digest"], defaults: { layers: [], chains: [], inputs: [] } },
  ),
  BUILD_CACHE_MAX_RECORDS,
);
const readConfig = object<CacheConfig>(
  {
    layers: list(
      object<CacheLayer>(
        { blob: digest, parent: integer(NO_PARENT, BUILD_CACHE_MAX_RECORDS - 1) },
        { required: ["blob"], defaults: { parent: 0 } },
      ),
      BUILD_CACHE_MAX_RECORDS,
    ),
    records: readRecords,
  },
  { defaults: { layers: [], records: [] } },
);

/** @throws LighterError "invalid" */
export function parseCacheConfig(text: string, where: string): CacheConfig {
  return readDocument(readConfig, text, where);
}

/** @throws LighterError "invalid" */
export function parseInlineRecords(text: string, where: string): CacheRecord[] {
  return readDocument(readRecords, text, where);
}

/** Compares with Go's encoding: fields of no value are left out. */
function writtenRecord({ digest: own, layers, chains, inputs }: CacheRecord): object {
  return {
    ...(layers.length === 0 ? {} : { layers }),
    ...(chains.length === 0 ? {} : { chains }),
    digest: own,
    ...(inputs.length === 0
      ? {}
      : {
          inputs: inputs.map((links) =>
            links.map(({ link, selector }) => (selector === "" ? { link } : { selector, link })),
          ),
        }),
  };
}

export function encodeCacheConfig({ layers, records }: CacheConfig): Buffer {
  return Buffer.from(JSON.stringify({ layers, records: records.map(writtenRecord) }));
}

export function encodeInlineRecords(records: readonly CacheRecord[]): Buffer {
  return Buffer.from(JSON.stringify(records.map(writtenRecord)));
}

/** What a record's step has made. */
export interface CachedStep<Layer> {
  /** Lowest first. */
  layers: readonly Layer[];
  createdAt: string;
}

/** The steps that have a result, by their records' digests. @throws LighterError "invalid" for layers that are not there */
export function stepsOfConfig({ layers, records }: CacheConfig): Map<string, CachedStep<Digest>> {
  return stepsOf(records, (at) => {
    const chain: Digest[] = [];
    for (let next = at; next !== NO_PARENT; ) {
      const layer = known(layers[next], next);
      if (chain.push(layer.blob) > IMAGE_MAX_LAYERS)
        throw new LighterError("invalid", `layer ${at} of the cache is over more than ${IMAGE_MAX_LAYERS} others`);
      next = layer.parent;
    }
    return chain.reverse();
  });
}

/** The same of an inline cache: the layers are those of its image. */
export function stepsOfInline<Layer>(
  records: readonly CacheRecord[],
  layers: readonly Layer[],
): Map<string, CachedStep<Layer>> {
  return stepsOf(
    records,
    (at) => layers.slice(0, at + 1),
    (chain) => chain.map((at) => known(layers[at], at)),
  );
}

function known<Layer>(layer: Layer | undefined, at: number): Layer {
  if (layer === undefined) throw new LighterError("invalid", `the cache has no layer ${at}`);
  return layer;
}

function stepsOf<Layer>(
  records: readonly CacheRecord[],
  below: (layer: number) => Layer[],
  chained?: (layers: readonly number[]) => Layer[],
): Map<string, CachedStep<Layer>> {
  const steps = new Map<string, CachedStep<Layer>>();
  for (const { digest: key, layers, chains } of records) {
    const [result] = layers;
    const [chain] = chains;
    if (result !== undefined) steps.set(key, { layers: below(result.layer), createdAt: result.createdAt });
    else if (chain !== undefined && chained !== undefined)
      steps.set(key, { layers: chained(chain.layers), createdAt: chain.createdAt });
  }
  return steps;
}

interface CacheManifest {
  config: Descriptor;
  layers: Descriptor[];
}

/** Undefined if the document is no manifest of a cache. @throws LighterError "invalid" */
export function parseCacheManifest(text: string, mediaType: string, where: string): CacheManifest | undefined {
  const isIndex = mediaType === MEDIA_TYPE.ociIndex || mediaType === MEDIA_TYPE.dockerIndex;
  if (!isIndex) {
    const manifest = parseManifest(text, where);
    return manifest.config.mediaType === CACHE_CONFIG_TYPE ? manifest : undefined;
  }
  const { manifests } = parseIndex(text, where);
  const config = manifests.find((each) => each.mediaType === CACHE_CONFIG_TYPE);
  return config && { config, layers: manifests.filter((each) => each !== config) };
}

interface ManifestForm {
  /** Whether it is an image's manifest. */
  isImage: boolean;
  isOci: boolean;
}

/** @returns the media type of the manifest, and its bytes */
export function encodeCacheManifest(
  { config, layers }: CacheManifest,
  { isImage, isOci }: ManifestForm,
): { mediaType: string; bytes: Buffer } {
  const { ociManifest, ociIndex, dockerManifest, dockerIndex } = MEDIA_TYPE;
  const mediaType = isImage ? (isOci ? ociManifest : dockerManifest) : isOci ? ociIndex : dockerIndex;
  const content = isImage ? { config, layers } : { manifests: [...layers, config] };
  return { mediaType, bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...content })) };
}

/** The diffId of a cache's layer; undefined if nothing says it. */
export function diffIdOf({ annotations = {} }: Descriptor): DiffId | undefined {
  const text = annotations[DIFF_ID_ANNOTATION];
  return text === undefined ? undefined : (parseDigest(text, DIFF_ID_ANNOTATION) as string as DiffId);
}
