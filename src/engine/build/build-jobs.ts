/** The jobs that file workers do for builds: see copy-work.ts and context-work.ts for how. */
import type { ChangeAction, CopyOp } from "../../build/mod.ts";
import type { BodyForm, FileJob } from "../../files/mod.ts";
import type { AbsentFile, Owner } from "../../image/mod.ts";

/** Directories of the host: the layers of a root file system, topmost first. */
type Layers = readonly string[];

/** A tree that is copied from: the layers of a root file system, or the directory of a spooled context. */
export type TreePlace = { layers: Layers } | { spoolPath: string };

export interface CopyInputs {
  op: CopyOp;
  /** Those of each input. The first one is copied into. */
  trees: readonly TreePlace[];
  /** The index of the input that is the build's context; -1: none is. */
  contextInput: number;
}

/** Hashes what is copied. */
export const hashSourcesJob: FileJob<CopyInputs, string> = { kind: "hash sources" };

export interface CopyArgument extends CopyInputs {
  /** The layers that are copied into. */
  below: Layers;
  owner: Owner | null;
  /** The directory of the new layer, empty, and one on its file system for what is unpacked. */
  upper: string;
  workPath: string;
}

/** Copies into a new layer. */
export const copySourcesJob: FileJob<CopyArgument, null> = { kind: "copy sources" };

export interface ChangeArgument {
  actions: readonly ChangeAction[];
  /** The owner that each action gives to what it makes. */
  owners: readonly (Owner | null)[];
  trees: readonly TreePlace[];
  contextInput: number;
  below: Layers;
  upper: string;
  workPath: string;
}

/** Makes a new layer of several changes. */
export const changeFilesJob: FileJob<ChangeArgument, null> = { kind: "change files" };

/** Makes a directory, and the missing ones above it, in a new layer. */
export const makeDirectoryInJob: FileJob<{ path: string; layers: Layers; upper: string }, null> = {
  kind: "make directory in a layer",
};

/** Writes a file from what comes from its last fd, and resolves with its digest. */
export const writeDownloadJob: FileJob<{ path: string; modifiedSeconds: number }, string> = {
  kind: "write download",
  hasClient: true,
};

export interface SpoolArgument {
  path: string;
  form: BodyForm;
  /** Whether the bytes of large files may be missing whose digests are known. */
  recalls: boolean;
  /** An older context of the same directory: what comes is what differs. */
  basePath?: string | undefined;
}

/** How many bytes have come so far; a question for the digest of a file that is identified so; or what the worker has found out. */
export type SpoolNote = { byteCount: number } | { find: string } | { learn: [identity: string, digest: string] };
export interface SpoolReply {
  digest: string | null;
}

export interface Spooled {
  byteCount: number;
  absent: readonly AbsentFile[];
}

/** Spools a context into an empty directory, from the tar that comes from its fd; a second one has what comes before. */
export const spoolContextJob: FileJob<SpoolArgument, Spooled> = { kind: "spool context", hasClient: true };

/** Writes a file that a spooled context lacks, from what comes from its fd. */
export const fillSpoolJob: FileJob<{ spoolPath: string; number: number }, null> = {
  kind: "fill spool",
  hasClient: true,
};

/** Writes the files of a spooled context into an empty directory. */
export const writeContextJob: FileJob<{ spoolPath: string; path: string }, null> = { kind: "write context" };

/** Writes the Dockerfile of a context to a path: it may be longer than a message. Takes out of the context what is not to be there. */
export const readDockerfileJob: FileJob<{ tree: TreePlace; dockerfile: string; textPath: string }, null> = {
  kind: "read Dockerfile",
};
