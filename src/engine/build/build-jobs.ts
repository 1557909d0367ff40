/** The jobs that file workers do for builds: see build-files.ts for how. */
import type { FileJob } from "../../files/mod.ts";

export interface CopyArgument {
  sources: readonly string[];
  /** The path, absolute; a slash at its end says that it is a directory. */
  destination: string;
  owner: { uid: number; gid: number };
  /** True if archives are unpacked. */
  unpack: boolean;
}

/** Hashes sources. The fd is the sources' root. */
export const hashSourcesJob: FileJob<{ sources: readonly string[] }, string> = { kind: "hash sources" };

/** Copies sources. The fds are the root that is copied into, and the sources' root. */
export const copySourcesJob: FileJob<CopyArgument, null> = { kind: "copy sources" };

/** Makes a directory. The fd is a root. */
export const makeDirectoryInJob: FileJob<{ path: string }, null> = { kind: "make directory in a root" };
