/** Layers as they are sent elsewhere: compressed in the way that is asked for. The store keeps its own form. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { DiffId, Digest } from "../../base/ids.ts";
import { type Descriptor, MEDIA_TYPE } from "../../spec/oci-image.ts";
import type { Compression } from "../tar/compression.ts";
import type { BlobStore } from "./blobs.ts";
import type { LayerJobs } from "./layer-jobs.ts";

export interface LayerForm {
  /** Undefined: layers are sent as they are stored. */
  compression: Compression | undefined;
  /** The compression's own number; undefined: ours. */
  level?: number | undefined;
  /** Whether layers that are compressed otherwise are not sent as they are. */
  isForced: boolean;
}

export interface FormedLayer {
  diffId: DiffId;
  /** An OCI layer's. */
  blob: Pick<Descriptor, "mediaType" | "digest" | "size">;
  read: () => AsyncIterable<Uint8Array>;
}

/** What forms are known to come out as, by the layer and the form. The same layer always gives the same bytes. */
export type KnownForms = Map<string, { digest: Digest; sizeBytes: number }>;
/** How many of them are kept. */
const KNOWN_MAX = 10_000;
const READ_BYTES = 512 * 1024;

const TYPES: Readonly<Record<Compression, string>> = {
  none: MEDIA_TYPE.ociLayer,
  gzip: MEDIA_TYPE.ociLayerGzip,
  zstd: MEDIA_TYPE.ociLayerZstd,
};

interface Parts {
  jobs: LayerJobs;
  blobs: BlobStore;
  known: KnownForms;
}

export class FormedLayers {
  readonly #form: LayerForm;
  readonly #ingestPath: string;
  readonly #parts: Parts;
  readonly #made = new Map<DiffId, Promise<{ path: string; digest: Digest; sizeBytes: number }>>();

  constructor(form: LayerForm, ingestPath: string, parts: Parts) {
    this.#form = form;
    this.#ingestPath = ingestPath;
    this.#parts = parts;
  }

  /** Gives a layer's form. One that is known is made when it is read. */
  async of(
    { diffId, blob }: { diffId: DiffId; blob: Pick<Descriptor, "mediaType" | "digest" | "size"> },
    signal: AbortSignal,
  ): Promise<FormedLayer> {
    const { compression, level, isForced } = this.#form;
    const own = compressionOf(blob.mediaType);
    if (compression === undefined || own === compression || (own !== "none" && !isForced))
      return {
        diffId,
        blob: { ...blob, mediaType: TYPES[own] },
        read: () => this.#read(this.#parts.blobs.pathOf(blob.digest)),
      };
    const { known } = this.#parts;
    const key = `${diffId} ${compression} ${level ?? ""}`;
    const make = () => this.#make(diffId, blob.digest, compression, signal);
    const { digest, sizeBytes } = known.get(key) ?? (await make());
    if (known.size < KNOWN_MAX) known.set(key, { digest, sizeBytes });
    const read = async function* (this: FormedLayers) {
      yield* this.#read((await make()).path);
    }.bind(this);
    return { diffId, blob: { mediaType: TYPES[compression], digest, size: sizeBytes }, read };
  }

  #make(diffId: DiffId, source: Digest, compression: Compression, signal: AbortSignal) {
    const { jobs, blobs } = this.#parts;
    const { level } = this.#form;
    const path = join(this.#ingestPath, diffId.slice("sha256:".length));
    const job = { diffId, compression, sourcePath: blobs.pathOf(source), targetPath: path };
    const made =
      this.#made.get(diffId) ??
      jobs
        .compress({ ...job, ...(level === undefined ? {} : { level }) }, () => {}, signal)
        .then((result) => ({ ...result, path }));
    this.#made.set(diffId, made);
    return made;
  }

  #read(path: string): AsyncIterable<Uint8Array> {
    return createReadStream(path, { highWaterMark: READ_BYTES });
  }
}

function compressionOf(mediaType: string): Compression {
  if (/gzip$/.test(mediaType)) return "gzip";
  return /zstd$/.test(mediaType) ? "zstd" : "none";
}
