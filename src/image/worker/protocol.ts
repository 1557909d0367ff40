/**
 * What the daemon and a layer worker say to each other: JSON, one message a line, over the worker's stdin and stdout.
 *
 *   daemon                              worker
 *     job            ───────────────►
 *                    ◄───────────────   progress, at most some ten a second
 *                    ◄───────────────   done, or failed: then the next job may come
 *     end of stdin   ───────────────►   exits, whatever it is doing
 *
 * A worker has one job at a time. To cancel a job its worker is killed. The daemon believes a worker no more than it has
 * to: what comes back is checked, for hostile bytes went in.
 */
import { LighterError } from "../../base/errors.ts";
import type { DiffId, Digest } from "../../base/ids.ts";
import { LAYER_MAX_IMPLIED_DIRECTORIES, LAYER_WORKER_LINE_MAX_BYTES } from "../../base/limits.ts";
import { readLines } from "../../base/lines.ts";
import { decodeError, encodeError } from "../../base/wire-error.ts";
import type { BytePath } from "../../linux/sys/fs.ts";
import { parseDigest } from "../../spec/oci-image.ts";
import type { Compression } from "../compression.ts";
import type { BlobSource } from "../registry/mod.ts";
import type { LayerTotals } from "../unpack.ts";

/** Both ends are the same executable, but it may have been replaced since the daemon began. */
const PROTOCOL_VERSION = 2;

/** Where a layer's compressed bytes are. */
export type LayerSource =
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

export type WorkerJob = LayerJob | CompressJob | InheritJob;
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

/** What comes of each kind of job. */
export interface WorkerResults {
  layer: LayerResult;
  compress: BlobResult;
  inherit: undefined;
}

export type WorkerMessage<K extends JobKind = JobKind> =
  | ({ type: "progress" } & LayerProgress)
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
  const wire = message.type === "failed" ? { type: "failed", error: encodeError(message.error) } : message;
  return `${JSON.stringify(wire)}\n`;
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
  return { digest: parseDigest(digest, "layer worker: a digest"), sizeBytes: asCount(sizeBytes, "sizeBytes") };
}

const RESULT_DECODERS: { [K in keyof WorkerResults]: (value: unknown) => WorkerResults[K] } = {
  layer: decodeLayerResult,
  compress: decodeBlobResult,
  inherit: () => undefined,
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
    case "progress":
      return {
        type: "progress",
        receivedBytes: asCount(message.receivedBytes, "receivedBytes"),
        unpackedBytes: asCount(message.unpackedBytes, "unpackedBytes"),
      };
    case "done":
      return { type: "done", result: RESULT_DECODERS[kind](message.result) };
    case "failed": {
      const error = decodeError(message.error);
      if (error === undefined) throw malformed("the error is malformed");
      return { type: "failed", error };
    }
    default:
      throw malformed("a message of an unknown type");
  }
}

/** @throws LighterError ("internal") for a line longer than LAYER_WORKER_LINE_MAX_BYTES. */
export function readMessages(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  return readLines(stream, LAYER_WORKER_LINE_MAX_BYTES, "layer worker");
}
