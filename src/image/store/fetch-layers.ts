/** Gets layers of no image: those of a cache that is kept elsewhere. */
import type { DiffId } from "../../base/ids.ts";
import type { Descriptor } from "../../spec/oci-image.ts";
import type { LayerRecord } from "./database.ts";
import type { LayerRequest } from "./layer-jobs.ts";
import { chainIdsOf } from "./layers.ts";
import type { Staging } from "./staging.ts";

/** Where a layer's blob is: in a registry, which a worker asks, or with somebody who sends it. */
export type LayerSource =
  | { describe: NonNullable<LayerRequest["describe"]> }
  | { read: () => AsyncIterable<Uint8Array> };

export interface FetchedLayer {
  diffId: DiffId;
  blob: Pick<Descriptor, "mediaType" | "digest" | "size">;
  source: LayerSource;
}

/** Fetches the layers, lowest first, of which none is `known`. */
export async function fetchLayers(
  layers: readonly FetchedLayer[],
  known: readonly (LayerRecord | undefined)[],
  staging: Staging,
  signal: AbortSignal,
): Promise<LayerRecord[]> {
  const chainIds = chainIdsOf(layers.map(({ diffId }) => diffId));
  const requests: LayerRequest[] = [];
  for (const [index, { diffId, blob, source }] of layers.entries()) {
    const chainId = chainIds[index]!;
    const record = known[index];
    staging.leaseLayer({ diffId, chainId });
    if (record === undefined && "read" in source) await staging.putBlob(blob, source.read());
    const described = record === undefined && "describe" in source ? { describe: source.describe } : {};
    requests.push({ diffId, chainId, blob: record?.blob ?? blob, ...described });
  }
  return await staging.getLayers(requests, signal);
}
