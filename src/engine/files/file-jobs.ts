/** The jobs that file workers do for the engine: see file-worker.ts for how. */
import type { WireError } from "../../base/wire-error.ts";
import type { BodyForm, FileJob } from "../../files/mod.ts";
import type { TreeBelow } from "../../image/mod.ts";
import type { BytePath } from "../../linux/sys/fs.ts";
import type { HostProbe } from "../config/mod.ts";
import type { IdMappings } from "../userns/id-mappings.ts";

/** A path in a container, as a request has it. */
export interface Target {
  /** The path as the client wrote it, for messages. */
  asGiven: string;
  /** The path from the container's root: clean, apart from a "/" or "/." at its end, which follows a symlink there. */
  path: BytePath;
  /** The container, as the client named it. */
  containerRef: string;
}

/** A file's stat, as Docker's clients know it; `mode` is Go's os.FileMode. */
export interface PathStat {
  name: string;
  size: number;
  mode: number;
  mtime: string;
  linkTarget: string;
}

/** Stats a file. The container's root is the first fd, as for the next two. */
export const statFilesJob: FileJob<{ target: Target }, PathStat> = { kind: "stat files" };

/** What is in a directory, in the order of names. */
export interface DirectoryListing {
  entries: PathStat[];
  /** False if there are more. */
  isComplete: boolean;
}

/** Lists a directory. */
export const listFilesJob: FileJob<{ target: Target }, DirectoryListing> = { kind: "list files" };

export interface ReadFilesArgument {
  target: Target;
  idMappings: IdMappings | null;
  /** Whether large files may be ranges. */
  takesFiles: boolean;
}

/** Reads files: gives a PathStat, then a tar. */
export const readFilesJob: FileJob<ReadFilesArgument, null> = {
  kind: "read files",
  hasClient: true,
};

export interface WriteFilesArgument {
  target: Target;
  keepKinds: boolean;
  /** The owner of all files. */
  owner?: { uid: number; gid: number };
  idMappings: IdMappings | null;
  /** The error if the target is a directory, which must not be written. */
  refusal?: WireError;
  form: BodyForm;
}

/** Writes files: its second fd is where the tar comes from; a third has what comes before. */
export const writeFilesJob: FileJob<WriteFilesArgument, null> = { kind: "write files", hasClient: true };

/** Directories on the host, topmost first. */
type Layers = readonly string[];

/** Writes a tree as a tar: gives nothing, then the tar. */
export const treeTarJob: FileJob<{ trees: readonly TreeBelow[]; maxMtimeSeconds?: number }, null> = {
  kind: "tree tar",
  hasClient: true,
};

/** Lists changes: gives nothing, then the answer of Docker's API, as JSON. Without `upper` the container has not run yet. */
export const changesJob: FileJob<{ upper?: string; lower: Layers }, null> = { kind: "changes" };

export interface FillArgument {
  layers: Layers;
  from: string;
  to: string;
  /** The part of the directories that is copied; no link in it leads out. */
  part?: string;
  /** True if a target that has something in it, or is no directory, stays as it is. */
  ifEmpty: boolean;
}

/** Copies what the layers have in the directory `from` into the directory `to`. Gives false if nothing was done. */
export const fillJob: FileJob<FillArgument, boolean> = { kind: "fill" };

/** A question to a `HostProbe`. */
export interface Question {
  ask: keyof HostProbe;
  paths: string[];
}

/** Answers a question. */
export const probeJob: FileJob<Question, unknown> = { kind: "probe" };

/** Makes the directory, and the missing ones above it. */
export const makeDirectoryJob: FileJob<{ path: string }, null> = { kind: "make directory" };
