/**
 * The protocol between the daemon and a layer worker: JSON, one message per line, over the worker's stdin and stdout.
 *
 *   daemon                              worker
 *     job            ───────────────►
 *     bytes, on fd 4 ───────────────►   if the job reads something that a client sends
 *                    ◄───────────────   beat, about once a second while it makes progress
 *                    ◄───────────────   progress, at most some ten a second; entries of an archive
 *                    ◄───────────────   done, or failed: then the next job may come
 *     end of stdin   ───────────────►   exits, whatever it is doing
 *
 * A worker has one job at a time. It is killed to cancel its job, or when it is silent for long. The daemon checks what comes
 * back, since hostile bytes went in.
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
const PROTOCOL_VERSION = 4;

/** The place of a layer's compressed bytes. */
type LayerSource =
  /** A file on this disk, whose digest has been verified. */
  | { kind: "file"; path: string }
  /** A registry. The content of `partialPath` is used first; in the end it holds all of the blob. */
  | { kind: "registry"; blob: BlobSource; partialPath: string };

/** Downloads and unpacks a layer. */
export interface LayerJob {
  kind: "layer";
  source: LayerSource;
  /** The digest of the compressed bytes, and their number. */
  digest: Digest;
  size: number;
  diffId: DiffId;
  /**
   * The directory that the worker makes; after a failure its content is worthless. Without it only the compressed bytes are
   * wanted.
   */
  directoryPath?: string;
}

/** Compresses a layer of the store in another way. */
export interface CompressJob {
  kind: "compress";
  /** The layer's file, whatever its own compression. */
  sourcePath: string;
  /** The new file, which must not exist. */
  targetPath: string;
  diffId: DiffId;
  compression: Compression;
  /** The compression's own number; undefined: ours. */
  level?: number;
}

/** Gives the directories that a layer implies the attributes that they have in the layers below. */
export interface InheritJob {
  kind: "inherit";
  directoryPath: string;
  implied: BytePath[];
  /** The layers below, topmost first. */
  belowPaths: string[];
}

/** Takes an archive of images apart: the one at `path`, or the bytes on fd 4. */
export interface ArchiveJob {
  kind: "archive";
  path?: string;
  /** The form of a request's body: fd 4 is its client's connection, fd 5 a file with what was read earlier. */
  form?: BodyForm;
  /** A directory for the files that it finds. */
  ingestPath: string;
  /** Digests of layers and blobs that the store has: files with these in their names are skipped. */
  known: string[];
}

/** Makes a layer from a tar on fd 4, plain or compressed, or from a container's changes. */
export interface MakeJob {
  kind: "make";
  ingestPath: string;
  /** "tree": the changes stay where they are, as the layer's directory, and no other one is made. */
  source:
    | { kind: "input"; form?: BodyForm }
    | { kind: "changes" | "tree"; upperPath: string; includeRoot: boolean; maxMtimeSeconds?: number };
}

export type WorkerJob = LayerJob | CompressJob | InheritJob | ArchiveJob | MakeJob;
export type JobKind = WorkerJob["kind"];
export type JobOf<K extends JobKind> = Extract<WorkerJob, { kind: K }>;

/** The number of compressed bytes that have come, and that are unpacked. */
export interface LayerProgress {
  receivedBytes: number;
  unpackedBytes: number;
}

/** Undefined if no directory was asked for. */
export type LayerResult = LayerTotals | undefined;

/** A file that was written. */
export interface BlobResult {
  digest: Digest;
  sizeBytes: number;
}

/** A file in the ingest directory. */
export interface TakenFile extends BlobResult {
  fileName: string;
  /** Set if it is a layer, which has been unpacked. */
  layer?: { directoryName: string; diffId: DiffId; totals: LayerTotals };
  /** Set if it looks like a layer and is broken. */
  failure?: LighterError;
}

/** An entry of an archive, in its order. Names are normalised: no "..", no superfluous slashes. */
export type ArchiveEntry =
  | { kind: "file"; name: string; file: TakenFile }
  | { kind: "known"; name: string; digest: Digest }
  | { kind: "link"; name: string; target: string }
  /** The progress of a plain layer that is being unpacked. */
  | { kind: "progress"; diffId: DiffId; currentBytes: number; totalBytes: number };

/** The result of each kind of job. */
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

/**
 * Decodes a job. Apart from the version, the daemon is trusted. @throws LighterError ("internal") if another version wrote it.
 */
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

/** Checks a name in the ingest directory. It is a number of ours, so that no name leads elsewhere. */
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

/** Decodes an answer to a job of this `kind`. @throws LighterError ("internal") for what no worker of ours sends. */
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

/** Splits a stream into messages. @throws LighterError ("internal") for a line longer than LAYER_WORKER_LINE_MAX_BYTES. */
export function readMessages(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  return readLines(stream, LAYER_WORKER_LINE_MAX_BYTES, "layer worker");
}
