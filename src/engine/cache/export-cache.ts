/** Leaves what a build has done where other daemons find it. */
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { formatRfc3339, NS_PER_MS } from "../../base/time.ts";
import { isSource, type Solve, type Vertex } from "../../build/mod.ts";
import { digestOf, type FormedLayer, type ImageStore } from "../../image/mod.ts";
import {
  CACHE_CONFIG_TYPE,
  type CacheLayer,
  type CacheRecord,
  DIFF_ID_ANNOTATION,
  encodeCacheConfig,
  encodeCacheManifest,
  encodeInlineRecords,
  INLINE_CACHE_FIELD,
  LAYER_CREATED_ANNOTATION,
} from "../../spec/build-cache.ts";
import { type Descriptor, dockerLayerType } from "../../spec/oci-image.ts";
import type { BuildCache } from "../build/build-cache.ts";
import type { BuildProgress, BuildTask } from "../build/build-progress.ts";
import type { BuildRequest } from "../build/build-request.ts";
import type { CacheExport, CacheTarget } from "./cache-request.ts";

/** A step that was solved: an input of others, and what it has made. */
interface SolvedStep {
  key: string;
  root: string;
  createdAt: string;
  /** The keys of its inputs that are steps, too. */
  inputs: readonly string[];
}

interface CacheSteps {
  /** What images are made of. */
  targets: readonly (Vertex | undefined)[];
  solve: Solve;
  cache: BuildCache;
}

/** The steps that targets are made of, each once, those below first. `isMax`: also what is only copied from. */
async function solvedSteps({ targets, solve, cache }: CacheSteps, isMax: boolean): Promise<SolvedStep[]> {
  const steps = new Map<string, SolvedStep>();
  const add = async (vertex: Vertex): Promise<string | undefined> => {
    const { op } = vertex;
    if (isSource(op) && op.kind !== "image") return undefined;
    const { id: root, key } = await solve(vertex);
    if (root === "" || steps.has(key)) return root === "" ? undefined : key;
    const below = isMax ? vertex.inputs : vertex.inputs.slice(0, 1);
    const inputs: string[] = [];
    for (const input of below) inputs.push(...[(await add(input)) ?? []].flat());
    const createdAt = formatRfc3339(BigInt(cache.createdMsOf(key)) * NS_PER_MS);
    steps.set(key, { key, root, createdAt, inputs });
    return key;
  };
  for (const target of targets) if (target !== undefined) await add(target);
  return [...steps.values()];
}

/** Records of steps, whose inputs are those before them. `layerOf`: the index of a step's topmost layer; undefined: it has none. */
function recordsOf(steps: readonly SolvedStep[], layerOf: (step: SolvedStep) => number | undefined): CacheRecord[] {
  const indexes = new Map(steps.map(({ key }, index) => [key, index]));
  return steps.map((step) => {
    const layer = layerOf(step);
    return {
      digest: step.key,
      layers: layer === undefined ? [] : [{ layer, createdAt: step.createdAt }],
      chains: [],
      inputs: step.inputs.map((key) => [{ link: indexes.get(key)!, selector: "" }]),
    };
  });
}

interface ExportOptions extends CacheSteps {
  images: ImageStore;
  progress: BuildProgress;
  signal: AbortSignal;
}

/** The field of the image's config with the cache of its own steps, if that is asked for. */
export async function inlineCacheOf(
  { hasInlineCache, buildArgs }: Pick<BuildRequest, "hasInlineCache" | "buildArgs">,
  options: ExportOptions,
): Promise<Record<string, string>> {
  if (hasInlineCache !== true && !isTrue(buildArgs.get("BUILDKIT_INLINE_CACHE"))) return {};
  return await options.progress.task("preparing layers for inline cache", async () => {
    const records = recordsOf(await solvedSteps(options, false), ({ root }) => {
      const { length } = options.images.snapshots.layersOf(root);
      return length === 0 ? undefined : length - 1; // the layers are those of the image
    });
    return { [INLINE_CACHE_FIELD]: encodeInlineRecords(records).toString("base64") };
  });
}

function isTrue(text = ""): boolean {
  return /^(1|t|true)$/i.test(text);
}

/** Leaves the cache wherever it is asked for. */
export async function exportCaches(
  { cacheExports = [], onAnswer }: Pick<BuildRequest, "cacheExports" | "onAnswer">,
  options: ExportOptions,
): Promise<void> {
  for (const request of cacheExports) {
    const manifest = await exportCache(request, options);
    if (manifest !== undefined) onAnswer?.("cache.manifest", JSON.stringify(manifest));
  }
}

/** Exports. Resolves with the manifest's descriptor; undefined if that has failed and does not matter. */
async function exportCache(request: CacheExport, options: ExportOptions): Promise<Descriptor | undefined> {
  try {
    return await options.progress.task(`exporting cache to ${request.kind}`, async ({ part }) => {
      const target = await request.open();
      const steps = await solvedSteps(options, request.isMax);
      return await options.images.withForms(request.form, async (forms) => {
        const formed = new Map<string, FormedLayer[]>();
        for (const { root } of steps) {
          const { layers, diffIds } = await options.images.packSnapshot(root);
          const of = layers.map((blob, index) => forms.of({ blob, diffId: diffIds[index]! }, options.signal));
          formed.set(root, await Promise.all(of));
        }
        part("preparing build cache for export", { completed: true });
        return await send(steps, formed, target, request, part);
      });
    });
  } catch (error) {
    if (!request.ignoresErrors) throw error;
    log.error(`export the cache of a build to a ${request.kind}: ${messageOf(error)}`);
    return undefined; // progress has told it
  }
}

async function send(
  steps: readonly SolvedStep[],
  formed: ReadonlyMap<string, readonly FormedLayer[]>,
  target: CacheTarget,
  { isImage, isOci }: CacheExport,
  part: BuildTask["part"],
): Promise<Descriptor> {
  const chains = new LayerChains();
  const records = recordsOf(steps, ({ root }) => chains.add(formed.get(root)!));
  const createdAt = new Map(
    steps.flatMap(({ root, createdAt: at }) => formed.get(root)!.map(({ blob }) => [blob.digest, at])),
  );
  const layers = new Map([...formed.values()].flat().map((layer) => [layer.blob.digest, layer]));
  for (const { blob, read } of layers.values()) {
    if (!(await target.has(blob.digest))) await target.write(blob, read);
    part(`writing layer ${blob.digest}`, { completed: true });
  }
  const config = encodeCacheConfig({ layers: chains.layers, records });
  const configBlob = { mediaType: CACHE_CONFIG_TYPE, digest: digestOf(config), size: config.length };
  if (!(await target.has(configBlob.digest))) await target.write(configBlob, () => piecesOf(config));
  part(`writing config ${configBlob.digest}`, { completed: true });
  const described = [...layers.values()].map(({ blob, diffId }) => ({
    ...blob,
    mediaType: isOci ? blob.mediaType : dockerLayerType(blob.mediaType),
    annotations: { [LAYER_CREATED_ANNOTATION]: createdAt.get(blob.digest)!, [DIFF_ID_ANNOTATION]: diffId },
  }));
  const { mediaType, bytes } = encodeCacheManifest({ config: configBlob, layers: described }, { isImage, isOci });
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  await target.finish(descriptor, new Uint8Array(bytes));
  part(`writing cache manifest ${descriptor.digest}`, { completed: true });
  return descriptor;
}

/** The layers of a cache's config: each with the one below. */
class LayerChains {
  readonly layers: CacheLayer[] = [];
  readonly #indexes = new Map<string, number>();

  /** Adds layers, lowest first, as far as they are new. Returns the index of the topmost; undefined if there is none. */
  add(formed: readonly FormedLayer[]): number | undefined {
    let below = -1;
    for (const { blob } of formed) {
      const key = `${below} ${blob.digest}`;
      const known = this.#indexes.get(key);
      if (known === undefined) this.layers.push({ blob: blob.digest, parent: below });
      below = known ?? this.layers.length - 1;
      this.#indexes.set(key, below);
    }
    return below < 0 ? undefined : below;
  }
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
