/** The jobs that file workers do for builds: see copy-work.ts and context-work.ts for how. */
import type { CopyOp } from "../../build/mod.ts";
import type { FileJob } from "../../files/mod.ts";
import type { Owner } from "../../image/mod.ts";

/** Directories of the host: the layers of a root file system, topmost first. */
type Layers = readonly string[];

export interface CopyInputs {
  op: CopyOp;
  /** Those of each input, the first of which is copied into. */
  layers: readonly Layers[];
  /** The index of the input that is the build's context; -1: none is. */
  contextInput: number;
}

export interface HashArgument extends CopyInputs {
  /** The file with the digests of each input's files, or null. */
  digestsPaths: readonly (string | null)[];
}

/** Hashes what is copied. */
export const hashSourcesJob: FileJob<HashArgument, string> = { kind: "hash sources" };

export interface CopyArgument extends CopyInputs {
  owner: Owner | null;
  /** The directory of the new layer, empty, and one on its file system for what is unpacked. */
  upper: string;
  workPath: string;
}

/** Copies into a new layer. */
export const copySourcesJob: FileJob<CopyArgument, null> = { kind: "copy sources" };

/** Makes a directory, and the missing ones above it, in a new layer. */
export const makeDirectoryInJob: FileJob<{ path: string; layers: Layers; upper: string }, null> = {
  kind: "make directory in a layer",
};

/** Writes a file from what comes from its last fd, and resolves with its digest. */
export const writeDownloadJob: FileJob<{ path: string; modifiedSeconds: number }, string> = {
  kind: "write download",
  hasClient: true,
};

/** Writes a context, from the tar that comes from its last fd, into a directory, and the digests of its files beside it. */
export const writeContextJob: FileJob<{ contextPath: string; digestsPath: string }, null> = {
  kind: "write context",
  hasClient: true,
};
