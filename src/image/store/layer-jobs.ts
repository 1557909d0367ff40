/**
 * Gets layers. Each is fetched and unpacked once, however many loads and pulls want it at the same time, and the layers of an
 * image come side by side.
 */
import { availableParallelism } from "node:os";
import { LighterError, messageOf } from "../../base/errors.ts";
import type { ChainId, DiffId } from "../../base/ids.ts";
import { inSpan } from "../../base/spans.ts";
import { writePoint } from "../../base/write-point.ts";
import { type BodyForm, Stalled } from "../../files/mod.ts";
import type { BlobSource } from "../registry/mod.ts";
import type { LayerTotals } from "../tar/unpack.ts";
import type { Input } from "../worker/input.ts";
import { LayerWorkers } from "../worker/pool.ts";
import type {
  ArchiveEntry,
  ArchiveJob,
  BlobResult,
  CompressJob,
  InheritJob,
  LayerJob,
  LayerProgress,
  MakeJob,
  TakenFile,
} from "../worker/protocol.ts";
import type { BlobStore, IngestedFile } from "./blobs.ts";
import type { LayerRecord } from "./database.ts";
import type { LayerStore } from "./layers.ts";

/** Docker downloads three layers at a time. */
const MAX_WORKERS = Math.max(3, availableParallelism());
/** How many workers mostly wait for clients: a client that never sends holds one. */
const MAX_READERS = 16;

export interface LayerRequest {
  diffId: DiffId;
  chainId: ChainId;
  blob: LayerRecord["blob"];
  /** A tree that is unpacked already; the first taker may move it. */
  unpacked?: IngestedFile["unpacked"];
  /**
   * Says where to get the blob if the store does not have it. Called when the job's turn has come, and again if that source is
   * refused.
   */
  describe?: (rejected?: BlobSource) => Promise<BlobSource>;
  events?: LayerEvents;
}

/** Called for a layer: `onExists` alone if it exists already, or the others in this order. */
export interface LayerEvents {
  onExists?(): void;
  /** The layer waits for its turn. */
  onWaiting?(): void;
  onProgress?(progress: LayerProgress): void;
  onDone?(): void;
}

class Job {
  readonly request: LayerRequest;
  /** The signal of the load or pull that began the job, and whose registry client it uses. */
  readonly origin: AbortSignal;
  readonly listeners = new Set<LayerEvents>();
  readonly aborter = new AbortController();
  /** Resolves when the worker is done, well or not: then others may use the blob and the diffId. Never rejects. */
  worked: Promise<unknown> = Promise.resolve();
  result!: Promise<LayerRecord>;
  takerCount = 0;
  isWorking = true;

  constructor(request: LayerRequest, origin: AbortSignal) {
    this.request = request;
    this.origin = origin;
  }

  /** Whether the job's result is what is asked for. */
  isFor({ chainId, blob }: LayerRequest): boolean {
    return this.request.chainId === chainId && this.request.blob.digest === blob.digest && !this.aborter.signal.aborted;
  }

  /** Whether its worker handles the same blob or the same tar. Also true for one that is being given up, until it has ended. */
  isWorkingFor({ diffId, blob }: LayerRequest): boolean {
    return this.isWorking && (this.request.diffId === diffId || this.request.blob.digest === blob.digest);
  }

  /** Waits until it is done or `signal` says that this taker no longer wants it. The job ends with its last taker. */
  async take(events: LayerEvents | undefined, signal: AbortSignal): Promise<LayerRecord> {
    this.takerCount++;
    if (events !== undefined) this.listeners.add(events);
    const gone = Promise.withResolvers<never>();
    const onAbort = (): void => gone.reject(signal.reason);
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    try {
      return await Promise.race([this.result, gone.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (events !== undefined) this.listeners.delete(events);
      if (--this.takerCount === 0 && signal.aborted) {
        this.aborter.abort(signal.reason);
        await this.result.catch(() => {}); // nothing may be left running
      }
    }
  }
}

function formOf(input: Input): { form?: BodyForm } {
  return "fd" in input ? { form: input.form } : {};
}

export class LayerJobs implements AsyncDisposable {
  readonly #blobs: BlobStore;
  readonly #layers: LayerStore;
  readonly #workers: LayerWorkers;
  /** Workers that wait for a client to send: jobs that need none do not wait for these. */
  readonly #readers: LayerWorkers;
  readonly #jobs = new Set<Job>();

  /** `heldFd` is open in every worker. */
  constructor(blobs: BlobStore, layers: LayerStore, heldFd: number) {
    this.#blobs = blobs;
    this.#layers = layers;
    this.#workers = new LayerWorkers(MAX_WORKERS, heldFd);
    this.#readers = new LayerWorkers(MAX_READERS, heldFd);
  }

  /** How many layers are handled at a time, over all loads and pulls; undefined suits the machine. */
  set maxAtOnce(count: number | undefined) {
    this.#workers.maxCount = count ?? MAX_WORKERS;
  }

  /** Whether nothing has to be fetched or unpacked for the layer. */
  has({ diffId, chainId, blob }: LayerRequest): boolean {
    return this.#layers.get(diffId, chainId) !== undefined && this.#blobs.has(blob.digest);
  }

  /** Prepares for layers that will be asked for soon. */
  warm(): void {
    this.#workers.warm();
  }

  /**
   * Gets all layers of an image, lowest first. The caller holds a lease on their keys and blobs. If one fails the others are
   * given up, and none is running any more when this throws.
   * @throws LighterError naming the layer; `signal`'s reason.
   */
  async getAll(requests: readonly LayerRequest[], signal?: AbortSignal): Promise<LayerRecord[]> {
    const aborter = new AbortController();
    const onAbort = (): void => aborter.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
    const records: Promise<LayerRecord>[] = [];
    let failure: { error: unknown } | undefined;
    try {
      for (const request of requests) {
        const record = this.#get(request, records.slice(), aborter.signal);
        record.catch((error: unknown) => {
          failure ??= { error }; // the first failure: the others are only its consequences
          aborter.abort(error);
        });
        records.push(record);
      }
      await Promise.allSettled(records);
      if (failure !== undefined) throw (failure as { error: unknown }).error;
      return await Promise.all(records);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async #get(request: LayerRequest, below: readonly Promise<LayerRecord>[], signal: AbortSignal): Promise<LayerRecord> {
    const { diffId, chainId, blob, events } = request;
    for (;;) {
      signal.throwIfAborted();
      const record = this.#layers.get(diffId, chainId);
      if (record !== undefined && this.#blobs.has(blob.digest)) {
        events?.onExists?.();
        return record;
      }
      const jobs = [...this.#jobs];
      const same = jobs.find((job) => job.isFor(request));
      const akin = jobs.find((job) => job.isWorkingFor(request));
      if (same !== undefined || akin === undefined) {
        try {
          return await (same ?? this.#start(request, below, signal)).take(events, signal);
        } catch (error) {
          if (!(error instanceof Abandoned)) throw error;
        }
      } else {
        // Another job's layer, or at least its blob, may serve this one. Its worker's end does not depend on layers below: so no
        // two images can wait for each other here.
        events?.onWaiting?.();
        await until(akin.worked, signal);
      }
    }
  }

  /** Takes an archive apart. @throws LighterError; what `source` throws. */
  takeArchive(
    source: Input | { path: string },
    job: Omit<ArchiveJob, "kind" | "path" | "form">,
    onEntry: (entry: ArchiveEntry) => void,
  ): Promise<undefined> {
    return "path" in source
      ? this.#readers.run<"archive">(async () => ({ kind: "archive", ...job, path: source.path }), { onEntry })
      : this.#readers.runWith<"archive">(source, { kind: "archive", ...job, ...formOf(source) }, { onEntry });
  }

  /** Makes the tar of a layer whose directory is there already. @throws as `takeArchive`. */
  pack(source: TreeChanges & { maxMtimeSeconds?: number }, ingestPath: string): Promise<TakenFile> {
    return this.#makeFrom({ kind: "tree", ...source }, ingestPath);
  }

  #makeFrom(source: MakeJob["source"], ingestPath: string): Promise<TakenFile> {
    return this.#workers.run<"make">(async () => ({ kind: "make", ingestPath, source }));
  }

  /** Makes a layer. @throws as `takeArchive`. */
  make(source: Input | TreeChanges, ingestPath: string): Promise<TakenFile> {
    if ("upperPath" in source) return this.#makeFrom({ kind: "changes", ...source }, ingestPath);
    return this.#readers.runWith<"make">(source, {
      kind: "make",
      ingestPath,
      source: { kind: "input", ...formOf(source) },
    });
  }

  /** Compresses a layer. @throws LighterError naming the layer; `signal`'s reason. */
  async compress(
    job: Omit<CompressJob, "kind">,
    onProgress: (unpackedBytes: number) => void,
    signal?: AbortSignal,
  ): Promise<BlobResult> {
    try {
      return await this.#workers.run<"compress">(
        async () => ({ kind: "compress", ...job }),
        { onProgress: ({ unpackedBytes }) => onProgress(unpackedBytes) },
        signal,
      );
    } catch (error) {
      signal?.throwIfAborted();
      throw explained(error, `compress layer ${job.diffId}`);
    }
  }

  #start(request: LayerRequest, below: readonly Promise<LayerRecord>[], origin: AbortSignal): Job {
    if (this.#workers.isBusy) request.events?.onWaiting?.();
    const job = new Job(request, origin);
    this.#jobs.add(job);
    job.result = this.#run(job, below).finally(() => this.#jobs.delete(job));
    job.result.catch(() => {}); // the takers get the error
    return job;
  }

  async #run(job: Job, below: readonly Promise<LayerRecord>[]): Promise<LayerRecord> {
    const { request } = job;
    try {
      const work = inSpan("layer", (span) => {
        span?.set({ "layer.digest": request.blob.digest, "layer.size": request.blob.size });
        return this.#work(job);
      }).finally(() => {
        job.isWorking = false;
      });
      job.worked = work.catch(() => {}); // somebody who waits for this wants to know when it is over
      const done = await work;
      const record = "record" in done ? done.record : await this.#inherit(job, done, below);
      for (const events of job.listeners) events.onDone?.();
      return record;
    } catch (error) {
      if (job.aborter.signal.aborted) throw job.aborter.signal.reason;
      if (job.origin.aborted) throw new Abandoned();
      throw layerError(request, error);
    }
  }

  /** Downloads and unpacks, as far as is needed. A layer that implies directories is completed by `#inherit`. */
  async #work({ request, listeners, aborter }: Job): Promise<{ record: LayerRecord } | UnpackedLayer> {
    const { diffId, chainId, blob } = request;
    const known = this.#layers.get(diffId, chainId);
    const isStored = this.#blobs.has(blob.digest);
    if (known === undefined && isStored) {
      const taken = this.#takeUnpacked(request);
      if (taken !== undefined) return this.#addUnlessImplying(request, taken);
    }
    const onProgress = (progress: LayerProgress): void => {
      for (const events of listeners) events.onProgress?.(progress);
    };
    let rejected: BlobSource | undefined;
    let describedLast: BlobSource | undefined;
    for (;;) {
      const isResumed = !isStored && this.#blobs.hasPartial(blob.digest);
      const directory = known === undefined ? this.#layers.newDirectory() : undefined;
      try {
        writePoint("layer job");
        const job = async (): Promise<LayerJob> => {
          if (!isStored) describedLast = await describe(request, rejected);
          return this.#jobFor(request, describedLast, directory);
        };
        const totals = await this.#workers.run(job, { onProgress }, aborter.signal);
        writePoint("layer job done");
        if (!isStored) this.#blobs.setDownloaded(blob.digest);
        if (known !== undefined) return { record: known };
        if (totals === undefined) throw new LighterError("internal", "the worker has unpacked nothing");
        return this.#addUnlessImplying(request, { directory: directory!, totals });
      } catch (error) {
        if (directory !== undefined) await this.#layers.removeFailed(directory);
        if (!(error instanceof LighterError)) throw error;
        if (error.code === "invalid") {
          await this.#blobs.removePartial(blob.digest);
          if (isResumed) continue; // the leftovers of an earlier attempt may be what is wrong, for instance after a power cut
        }
        // A token may have run out while the layer waited for its turn.
        if (error.code !== "unauthorized" || rejected !== undefined || describedLast === undefined) throw error;
        rejected = describedLast;
      }
    }
  }

  /** Takes a tree that is unpacked already. Undefined if there is none, or another layer of the same tar has it. */
  #takeUnpacked({ unpacked }: LayerRequest): UnpackedLayer | undefined {
    const directory = unpacked && this.#layers.moveIn(unpacked.directoryPath);
    return directory === undefined ? undefined : { directory, totals: unpacked!.totals };
  }

  #addUnlessImplying(request: LayerRequest, unpacked: UnpackedLayer): { record: LayerRecord } | UnpackedLayer {
    const { diffId, chainId, blob } = request;
    const { directory, totals } = unpacked;
    if (totals.impliedDirectories.length > 0) return unpacked;
    return { record: this.#layers.add(chainId, diffId, directory, blob, totals) };
  }

  #jobFor(request: LayerRequest, described: BlobSource | undefined, directory: string | undefined): LayerJob {
    const { diffId, blob } = request;
    return {
      kind: "layer",
      digest: blob.digest,
      size: blob.size,
      diffId,
      ...(directory === undefined ? {} : { directoryPath: this.#layers.directoryPath(directory) }),
      source:
        described === undefined
          ? { kind: "file", path: this.#blobs.pathOf(blob.digest) }
          : { kind: "registry", blob: described, partialPath: this.#blobs.partialPathOf(blob.digest) },
    };
  }

  async #inherit(
    { request: { chainId, diffId, blob }, aborter }: Job,
    { directory, totals }: UnpackedLayer,
    below: readonly Promise<LayerRecord>[],
  ): Promise<LayerRecord> {
    try {
      const records = await Promise.all(below);
      const job: InheritJob = {
        kind: "inherit",
        directoryPath: this.#layers.directoryPath(directory),
        implied: totals.impliedDirectories,
        belowPaths: records.reverse().map((record) => this.#layers.directoryPath(record.directory)),
      };
      await this.#workers.run<"inherit">(async () => job, {}, aborter.signal);
      return this.#layers.add(chainId, diffId, directory, blob, totals);
    } catch (error) {
      await this.#layers.removeFailed(directory);
      throw error;
    }
  }

  /** Ends all work. */
  async [Symbol.asyncDispose](): Promise<void> {
    const jobs = [...this.#jobs];
    for (const job of jobs) job.aborter.abort(new LighterError("unavailable", "the image store is being closed"));
    await Promise.allSettled(jobs.map((job) => job.result));
    await Promise.all([this.#workers[Symbol.asyncDispose](), this.#readers[Symbol.asyncDispose]()]);
  }
}

async function describe(request: LayerRequest, rejected: BlobSource | undefined): Promise<BlobSource> {
  if (request.describe === undefined) throw new LighterError("not-found", `blob ${request.blob.digest} is missing`);
  return request.describe(rejected);
}

/** The changes of a container: its upper directory, and whether "/" itself is included. */
export interface TreeChanges {
  upperPath: string;
  includeRoot: boolean;
}

interface UnpackedLayer {
  directory: string;
  totals: LayerTotals;
}

/** Thrown when whoever began a job has given up, which may be why the job failed: others who share it do it again. */
class Abandoned extends Error {}

async function until(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const gone = Promise.withResolvers<never>();
  const onAbort = (): void => gone.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    await Promise.race([promise, gone.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function layerError({ diffId, blob }: LayerRequest, error: unknown): unknown {
  const isDownload = error instanceof LighterError && error.code === "unavailable" && !(error instanceof Stalled);
  return explained(error, isDownload ? `download layer ${blob.digest}` : `unpack layer ${diffId}`);
}

/** The error, with what was being done. */
export function explained(error: unknown, what: string): LighterError {
  if (!(error instanceof LighterError))
    return new LighterError("internal", `${what}: ${messageOf(error)}`, { cause: error });
  return new LighterError(error.code, `${what}: ${error.message}`, { ...error.detail, cause: error });
}
