/**
 * What the daemon and a layer worker say to each other: JSON, one message a line, over the worker's stdin and stdout.
 *
 *   daemon                              worker
 *     job            ───────────────►
 *     bytes, on fd 4 ───────────────►   if the job is to read something that a client sends
 *                    ◄───────────────   beat, about once a second as long as it gets on
 *                    ◄───────────────   progress, at most some ten a second; entries of an archive
 *                    ◄───────────────   done, or failed: then the next job may come
 *     end of stdin   ───────────────►   exits, whatever it is doing
 *
 * A worker has one job at a time. To cancel a job its worker is killed, and so is one that is silent for long. The daemon believes a worker no more than it has
 * to: what comes back is checked, for hostile bytes went in.
 */
import { LighterError } from "../../base/errors.ts";
import type { DiffId, Digest } from "../../base/ids.ts";
import { LAYER_MAX_IMPLIED_DIRECTORIES, LAYER_WORKER_LINE_MAX_BYTES } from "../../base/limits.ts";
import { readLines } from "../../base/lines.ts";
import { decodeError, encodeError } from "../../base/wire-error.ts";
import type { BodyForm } from "../../files/mod.ts";
import { type BytePath, PATH_MAX } from "../../linux/sys/fs.ts";
import { parseDigest } from "../../spec/oci-image.ts";
import type { BlobSource } from "../registry/mod.ts";
import type { Compression } from "../tar/compression.ts";
import type { LayerTotals } from "../tar/unpack.ts";

/** Both ends are the same executable, but it may have been replaced since the daemon began. */
const PROTOCOL_VERSION = 3;

/** Where a layer's compressed bytes are. */
type LayerSource =
  /** On this disk, their digest taken by whoever put them there. */
  | { kind: "file"; path: string }
  /** In a registry. What `partialPath` already holds is used first; all of it is there in the end. */
  | { kind: "registry"; blob: BlobSource; partialPath: string };

/** Downloads and unpacks a layer. */
export interface LayerJob {
  kind: "layer";
  source: LayerSource;
  /** Of the compressed bytes, and how many those are. */
  digest: Digest;
  size: number;
  diffId: DiffId;
  /** Made by the worker; after a failure, whatever is there is rubbish. Absent: only the compressed bytes are wanted. */
  directoryPath?: string;
}

/** Gives a layer that is here another compression. */
export interface CompressJob {
  kind: "compress";
  /** Whatever its own compression. */
  sourcePath: string;
  /** Must not exist. */
  targetPath: string;
  diffId: DiffId;
  compression: Exclude<Compression, "none">;
}

/** Gives the directories that a layer implies the attributes that they have in the layers below. */
export interface InheritJob {
  kind: "inherit";
  directoryPath: string;
  implied: BytePath[];
  /** Topmost first. */
  belowPaths: string[];
}

/** Takes an archive of images to pieces: from `path`, or the bytes on fd 4. */
export interface ArchiveJob {
  kind: "archive";
  path?: string;
  /** Of a request's body: fd 4 is its client's connection, fd 5 a file of what was read before. */
  form?: BodyForm;
  /** A directory for what it finds. */
  ingestPath: string;
  /** Layers and blobs that are here: files with these digests in their names are passed over. */
  known: string[];
}

/** Makes a layer: of a tar on fd 4, plain or compressed, or of what a container has changed. */
export interface MakeJob {
  kind: "make";
  ingestPath: string;
  source: { kind: "input"; form?: BodyForm } | { kind: "changes"; upperPath: string; includeRoot: boolean };
}

export type WorkerJob = LayerJob | CompressJob | InheritJob | ArchiveJob | MakeJob;
export type JobKind = WorkerJob["kind"];
export type JobOf<K extends JobKind> = Extract<WorkerJob, { kind: K }>;

/** Compressed bytes: that are here, and that are unpacked. */
export interface LayerProgress {
  receivedBytes: number;
  unpackedBytes: number;
}

/** Undefined where no directory was asked for. */
export type LayerResult = LayerTotals | undefined;

/** A file that was written. */
export interface BlobResult {
  digest: Digest;
  sizeBytes: number;
}

/** A file in the ingest directory. */
export interface TakenFile extends BlobResult {
  fileName: string;
  /** It is a layer, and unpacked. */
  layer?: { directoryName: string; diffId: DiffId; totals: LayerTotals };
  /** It looks like a layer, and is broken. */
  failure?: LighterError;
}

/** Of an archive, in its order. Names are normalised: no "..", no slash too many. */
export type ArchiveEntry =
  | { kind: "file"; name: string; file: TakenFile }
  | { kind: "known"; name: string; digest: Digest }
  | { kind: "link"; name: string; target: string }
  /** A plain layer that is being unpacked. */
  | { kind: "progress"; diffId: DiffId; currentBytes: number; totalBytes: number };

/** What comes of each kind of job. */
export interface WorkerResults {
  layer: LayerResult;
  compress: BlobResult;
  inherit: undefined;
  archive: undefined;
  make: TakenFile;
}

export type WorkerMessage<K extends JobKind = JobKind> =
  | { type: "beat" }
  | ({ type: "progress" } & LayerProgress)
  | { type: "entry"; entry: ArchiveEntry }
  | { type: "done"; result: WorkerResults[K] }
  | { type: "failed"; error: LighterError };

export function encodeJob(job: WorkerJob): string {
  return `${JSON.stringify({ version: PROTOCOL_VERSION, job })}\n`;
}

/** @throws LighterError ("internal") if another version wrote it. The daemon is believed otherwise. */
export function decodeJob(line: string): WorkerJob {
  const { version, job } = JSON.parse(line) as { version: unknown; job: WorkerJob };
  if (version !== PROTOCOL_VERSION)
    throw new LighterError("internal", `layer worker speaks version ${PROTOCOL_VERSION}, the daemon ${version}`);
  return job;
}

export function encodeMessage(message: WorkerMessage): string {
  return `${JSON.stringify(message, (_key, value) => (value instanceof LighterError ? encodeError(value) : value))}\n`;
}

type JsonObject = Record<string, unknown>;

function malformed(what: string): LighterError {
  return new LighterError("internal", `layer worker: ${what}`);
}

function asObject(value: unknown, what: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(`${what} is no object`);
  return value as JsonObject;
}

function asCount(value: unknown, what: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw malformed(`${what} is no count`);
  return value as number;
}

function asDigest(value: unknown): Digest {
  return parseDigest(value, "layer worker: a digest");
}

function asName(value: unknown): string {
  if (typeof value !== "string" || value.length > PATH_MAX) throw malformed("a name is malformed");
  return value;
}

function asError(value: unknown): LighterError {
  const error = decodeError(value);
  if (error === undefined) throw malformed("the error is malformed");
  return error;
}

function decodeLayerResult(value: unknown): LayerResult {
  return value === undefined ? undefined : decodeTotals(value);
}

function decodeTotals(value: unknown): LayerTotals {
  const { sizeBytes, entryCount, root, impliedDirectories } = asObject(value, "result");
  if (!Array.isArray(impliedDirectories) || impliedDirectories.length > LAYER_MAX_IMPLIED_DIRECTORIES)
    throw malformed("the implied directories are malformed");
  for (const path of impliedDirectories)
    if (typeof path !== "string" || path.includes("\0")) throw malformed("an implied directory is malformed");
  const attributes = root === undefined ? undefined : asObject(root, "root");
  return {
    sizeBytes: asCount(sizeBytes, "sizeBytes"),
    entryCount: asCount(entryCount, "entryCount"),
    root: attributes && {
      mode: asCount(attributes.mode, "mode"),
      uid: asCount(attributes.uid, "uid"),
      gid: asCount(attributes.gid, "gid"),
    },
    impliedDirectories: impliedDirectories as BytePath[],
  };
}

function decodeBlobResult(value: unknown): BlobResult {
  const { digest, sizeBytes } = asObject(value, "result");
  return { digest: asDigest(digest), sizeBytes: asCount(sizeBytes, "sizeBytes") };
}

/** Numbers of ours, so that no name leads elsewhere. */
function asIngestName(value: unknown, ending: string): string {
  if (typeof value !== "string" || !/^[0-9]{1,9}$/.test(value.slice(0, value.length - ending.length)))
    throw malformed("a file's name is malformed");
  if (!value.endsWith(ending)) throw malformed("a file's name is malformed");
  return value;
}

function decodeTakenFile(value: unknown): TakenFile {
  const { fileName, layer, failure } = asObject(value, "file");
  return {
    fileName: asIngestName(fileName, ""),
    ...decodeBlobResult(value),
    ...(layer === undefined ? {} : { layer: decodeTakenLayer(layer) }),
    ...(failure === undefined ? {} : { failure: asError(failure) }),
  };
}

function decodeTakenLayer(value: unknown): NonNullable<TakenFile["layer"]> {
  const { directoryName, diffId, totals } = asObject(value, "layer");
  return {
    directoryName: asIngestName(directoryName, ".d"),
    diffId: asDigest(diffId) as string as DiffId,
    totals: decodeTotals(totals),
  };
}

function decodeEntry(value: unknown): ArchiveEntry {
  const { kind, ...entry } = asObject(value, "entry");
  switch (kind) {
    case "file":
      return { kind, name: asName(entry.name), file: decodeTakenFile(entry.file) };
    case "known":
      return { kind, name: asName(entry.name), digest: asDigest(entry.digest) };
    case "link":
      return { kind, name: asName(entry.name), target: asName(entry.target) };
    case "progress":
      return {
        kind,
        diffId: asDigest(entry.diffId) as string as DiffId,
        currentBytes: asCount(entry.currentBytes, "currentBytes"),
        totalBytes: asCount(entry.totalBytes, "totalBytes"),
      };
    default:
      throw malformed("an entry of an unknown kind");
  }
}

const RESULT_DECODERS: { [K in keyof WorkerResults]: (value: unknown) => WorkerResults[K] } = {
  layer: decodeLayerResult,
  compress: decodeBlobResult,
  inherit: () => undefined,
  archive: () => undefined,
  make: decodeTakenFile,
};

/** `kind`: of the job that it answers. @throws LighterError ("internal") for what no worker of ours sends. */
export function decodeMessage<K extends JobKind>(line: string, kind: K): WorkerMessage<K> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new LighterError("internal", "layer worker: a message is not JSON", { cause });
  }
  const message = asObject(value, "message");
  switch (message.type) {
    case "beat":
      return { type: "beat" };
    case "progress":
      return {
        type: "progress",
        receivedBytes: asCount(message.receivedBytes, "receivedBytes"),
        unpackedBytes: asCount(message.unpackedBytes, "unpackedBytes"),
      };
    case "entry":
      return { type: "entry", entry: decodeEntry(message.entry) };
    case "done":
      return { type: "done", result: RESULT_DECODERS[kind](message.result) };
    case "failed":
      return { type: "failed", error: asError(message.error) };
    default:
      throw malformed("a message of an unknown type");
  }
}

/** @throws LighterError ("internal") for a line longer than LAYER_WORKER_LINE_MAX_BYTES. */
export function readMessages(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  return readLines(stream, LAYER_WORKER_LINE_MAX_BYTES, "layer worker");
}
