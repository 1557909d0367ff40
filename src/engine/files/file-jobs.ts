/** What file workers do for the engine: see file-worker.ts for how. */
import type { WireError } from "../../base/wire-error.ts";
import type { BodyForm, FileJob } from "../../files/mod.ts";
import type { TreeTarOptions } from "../../image/mod.ts";
import type { BytePath } from "../../linux/sys/fs.ts";
import type { HostProbe } from "../config/mod.ts";
import type { IdMappings } from "../userns/id-mappings.ts";

/** A path in a container, as a request has it. */
export interface Target {
  /** As the client wrote it, for messages. */
  asGiven: string;
  /** From the container's root: clean, but for a "/" or "/." at its end, which follows a symlink there. */
  path: BytePath;
  /** The container, as the client named it. */
  containerRef: string;
}

/** As Docker's clients know it; `mode` is Go's os.FileMode. */
export interface PathStat {
  name: string;
  size: number;
  mode: number;
  mtime: string;
  linkTarget: string;
}

/** With the container's root as their first fd. */
export const statFilesJob: FileJob<{ target: Target }, PathStat> = { kind: "stat files" };

/** Gives a PathStat, then a tar. */
export const readFilesJob: FileJob<{ target: Target; idMappings: IdMappings | null }, null> = {
  kind: "read files",
  hasClient: true,
};

export interface WriteFilesArgument {
  target: Target;
  keepKinds: boolean;
  /** Of all files. */
  owner?: { uid: number; gid: number };
  idMappings: IdMappings | null;
  /** Why not, if there is a directory. */
  refusal?: WireError;
  form: BodyForm;
}

/** Its second fd is where the tar comes from; a third has what comes before. */
export const writeFilesJob: FileJob<WriteFilesArgument, null> = { kind: "write files", hasClient: true };

/** Directories on the host, topmost first. */
type Layers = readonly string[];

/** Gives nothing, then a tar. */
export const treeTarJob: FileJob<{ layers: Layers; options: TreeTarOptions }, null> = {
  kind: "tree tar",
  hasClient: true,
};

/** Gives nothing, then the answer of Docker's API, as JSON. No `upper`: the container has not run yet. */
export const changesJob: FileJob<{ upper?: string; lower: Layers }, null> = { kind: "changes" };

export interface FillArgument {
  layers: Layers;
  from: string;
  to: string;
  /** What of it is meant, followed no further than it reaches. */
  part?: string;
  /** What has something in it stays as it is, and so does what is no directory. */
  ifEmpty: boolean;
}

/** Copies what the layers have in the directory `from` into the directory `to`. False: nothing was done. */
export const fillJob: FileJob<FillArgument, boolean> = { kind: "fill" };

/** Of a `HostProbe`. */
export interface Question {
  ask: keyof HostProbe;
  paths: string[];
}

/** Gives the answer. */
export const probeJob: FileJob<Question, unknown> = { kind: "probe" };

/** Makes the directory, and those above it, where there is nothing. */
export const makeDirectoryJob: FileJob<{ path: string }, null> = { kind: "make directory" };
